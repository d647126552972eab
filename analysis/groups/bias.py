"""Measures a trained model on groups of pictures, and how a retraining changed each group."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.drawing.drawing import render
from analysis.groups.annotations import Groups, read_groups
from analysis.groups.figure import groups_figure
from analysis.groups.table import group_tables
from analysis.rendering.page import Page, Section, figures_of, tables_of, write_page
from analysis.rendering.table import Table
from analysis.run.clusters import picture_notes, read_clusters
from analysis.run.run_data import RunData, read_probabilities, read_run
from analysis.run.trials import incumbent
from analysis.statistics.estimate import NotKnownError
from analysis.trials.headline import percent
from fairsweep.errors import UserError


@dataclass(frozen=True, kw_only=True, eq=False)
class Bias:
    """The predictions of a trained model and the groups of their pictures."""

    run: RunData
    trial: "pd.Series[Any]"
    split: str
    answers: pd.DataFrame
    """A row per picture (its id as index): ``label``, ``predicted`` and ``cluster``."""
    before: pd.DataFrame | None
    """The same for the model before the retraining."""
    groups: Groups
    notes: tuple[str, ...]

    @cached_property
    def tables(self) -> list[Table]:
        """Every table that can be made."""
        classes = self.run.info.classes
        return group_tables(self.answers, self.before, self.groups.columns, classes, self.notes)


def study_bias(
    run: RunData,
    *,
    trial_id: str | None = None,
    file: Path | None = None,
    before: Path | None = None,
    split: str = "val",
) -> Bias:
    """Read a trial's predictions of one split, the groups, and the predictions before retraining.

    Args:
        run: The run.
        trial_id: The trial; the incumbent by default.
        file: A CSV with further group columns.
        before: The run whose incumbent is the model before; by default the run that this one was
            retrained from.
        split: ``val`` or ``test``.

    Raises:
        DatasetLeftOutError: The groups need the dataset, which is missing or has changed.
        MissingFileError: A file or run does not exist.
        NoTrialSucceededError: No trial of the earlier run succeeded.
        NotKnownError: The trial has no predictions of that split.
        UserError: The trial does not exist, the CSV breaks a rule, no column makes groups, or the
            two models have no pictures in common.
    """
    trial = _trial(run, trial_id)
    answers = _answers(run, trial, split)
    groups = read_groups(run, answers.index.tolist(), file)
    then, notes = _before(run, before, split)
    if then is not None:
        shared = answers.index.intersection(then.index)
        if shared.empty:
            raise UserError(f"{before or run.path} has no {split} pictures in common with before")
        if not then.loc[shared, "label"].equals(answers.loc[shared, "label"]):
            raise UserError(
                f"{before or run.path} labels pictures in another way than before; give a run on "
                "the same dataset"
            )
        if len(shared) < len(answers):
            notes.append(
                f"Before and after are compared on the {len(shared):,} pictures that have both "
                "predictions."
            )
        then = then.loc[shared]
    told = f"{trial['name']}, trial {trial['number']}; n: {split} pictures."
    return Bias(
        run=run,
        trial=trial,
        split=split,
        answers=answers,
        before=then,
        groups=groups,
        notes=(told, *picture_notes(run), *notes, *groups.notes),
    )


def reported(run: RunData) -> Bias | None:
    """Return the groups of the incumbent for the report; None if they are not available."""
    try:
        return study_bias(run)
    except UserError:
        return None


def write_bias(bias: Bias, out: Path) -> Path:
    """Write a page with tables and figures into ``out``, and return its path."""
    figures = [render(drawing) for drawing in groups_figure(bias.tables)]
    right = (bias.answers["label"] == bias.answers["predicted"]).mean()
    return write_page(
        Page(
            title=f"{bias.run.name} by group",
            subtitle="Performance of a trained model on groups of pictures",
            tiles={"accuracy": percent(right), "pictures": f"{len(bias.answers):,}"},
            found=bias.notes,
            unknown=(),
            sections=(
                Section(
                    id="groups",
                    title="Groups",
                    blocks=(*figures_of(figures), *tables_of(bias.tables)),
                ),
            ),
            trials={},
        ),
        out,
    )


def _trial(run: RunData, trial_id: str | None) -> "pd.Series[Any]":
    if trial_id is None:
        return incumbent(run)
    rows = run.trials[run.trials["trial_id"] == trial_id]
    if rows.empty:
        raise UserError(
            f"{run.path} has no trial {trial_id}; `python -m analysis table {run.shell_path} "
            "--format json` names them"
        )
    return rows.iloc[0]


def _answers(run: RunData, trial: "pd.Series[Any]", split: str) -> pd.DataFrame:
    answers = read_probabilities(run, str(trial["trial_id"]), split)
    if answers is None:
        way_out = (
            f"open the test split with `python -m tune test {run.shell_path} "
            f"--trial {trial['trial_id']}`"
            if split == "test"
            else "name another trial with --trial"
        )
        raise NotKnownError(
            f"trial {trial['trial_id']} of {run.path} has no {split} predictions; {way_out}"
        )
    cluster = read_clusters(run, answers["image_id"].tolist()).of
    return answers.assign(cluster=cluster).set_index("image_id")[["label", "predicted", "cluster"]]


def _before(run: RunData, before: Path | None, split: str) -> tuple[pd.DataFrame | None, list[str]]:
    """Return the predictions before a retraining, and notes; None if the run is not one."""
    origin = {} if before is not None else (run.provenance.get("origin") or {})
    place = before or (Path(origin["run"]) if "run" in origin else None)
    if place is None:
        return None, []
    try:
        earlier = read_run(place)
        if earlier.info.classes != run.info.classes:
            raise UserError(
                f"{place} has the classes {', '.join(earlier.info.classes)}; these "
                f"are {', '.join(run.info.classes)}; give a run on the same dataset"
            )
        trial = _trial(earlier, origin.get("trial_id"))
        answers = _answers(earlier, trial, split)
    except UserError as reason:
        if before is not None:
            raise
        return None, [f"The results before the retraining are not shown: {reason}."]
    return answers, [f"Before: {trial['name']}, trial {trial['number']} of {earlier.name}."]
