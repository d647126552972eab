"""`tune retrain`: train a trial again, with more weight on groups of pictures."""

import argparse
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from data_prep.group_columns import count_by_split
from data_prep.reader import ImageDataset
from fairsweep.command_line import shell_path
from models.config import TrainConfig
from models.groups import group_factors
from models.known_groups import check_groups
from tune.commands.options import add_derived, add_run
from tune.commands.outcome import close
from tune.execution.executor import Executor
from tune.run.directory import CHECKPOINTS_DIR, RUNS, RunError, best_weights
from tune.run.tables import read_predictions
from tune.session.carried import Carried, carried_groups, read_groups
from tune.session.code import refuse_own
from tune.session.origin import Origin, find_origin
from tune.session.run_directory import find_dataset, read_provenance, read_spec
from tune.session.session import ON_RAY, start
from tune.sweep.sweep import Sweep

EXAMPLE = "runs/quick --oversample age=child:4 --groups annotations.csv"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the run, the groups, and how it is trained."""
    add_run(command)
    for name, example, words in (
        ("oversample", "COLUMN=VALUE:N", "show the group's training pictures N times per epoch"),
        (
            "weights",
            "COLUMN=VALUE:W",
            "multiply the loss of the group's training pictures by W",
        ),
        ("balance", "COLUMN", "give the column's groups equal shares of every batch"),
    ):
        command.add_argument(f"--{name}", action="append", default=[], metavar=example, help=words)
    command.add_argument(
        "--groups", type=Path, metavar="CSV", help="CSV with image_id and group columns"
    )
    command.add_argument(
        "--from-scratch", action="store_true", help="do not start from the trial's weights"
    )
    command.add_argument("--epochs", type=int, metavar="N", help="default: the trial's epochs")
    add_derived(command)


def run(parsed: argparse.Namespace) -> int:
    """Retrain the trial, print accuracies before and after, and return the exit code."""
    asked = {
        "oversample": ",".join(parsed.oversample),
        "sample_weights": ",".join(parsed.weights),
        "balance": ",".join(parsed.balance),
    }
    request = Request(
        run=parsed.run,
        sampling={name: text for name, text in asked.items() if text},
        trial_id=parsed.trial,
        from_scratch=parsed.from_scratch,
        epochs=parsed.epochs,
        groups=parsed.groups,
        name=parsed.name,
        data=parsed.data,
        overrides=tuple(parsed.set),
        trust_code=parsed.trust_code,
    )
    run, sweep = retrain(request, RUNS)
    code = close(run, sweep)
    if code == 0:
        for line in comparison(run, sweep):
            print(line)
    return code


@dataclass(frozen=True, kw_only=True)
class Request:
    """Which trial to retrain, and how."""

    run: Path
    sampling: Mapping[str, str]
    """The requested ones of ``oversample``, ``sample_weights`` and ``balance``."""
    trial_id: str | None = None
    """Trial to retrain instead of the incumbent."""
    from_scratch: bool = False
    """Do not start from the trial's best weights."""
    epochs: int | None = None
    """Epochs, if they differ from the trial's."""
    groups: Path | None = None
    """CSV with columns that the dataset does not have."""
    name: str | None = None
    data: str | None = None
    """Path of the dataset, if it was moved."""
    overrides: tuple[str, ...] = ()
    trust_code: bool = False
    """Whether own code of the run may be imported that the user has not run before."""


def retrain(request: Request, root: Path, *, executor: Executor = ON_RAY) -> tuple[Path, Sweep]:
    """Retrain a trial in a new run; return the run's directory and its sweep.

    Raises:
        BadInputError: The CSV breaks a rule.
        FileNotFoundError: The dataset or the CSV does not exist.
        RunError: The run is not finished, has no such trial, or did not keep its weights. Or the
            new run already exists, or a group has no training picture.
        SpecError: The new run's spec breaks a rule.
        UserError: The dataset does not have one of the groups.
    """
    if request.from_scratch and not request.sampling:
        raise RunError(
            "--from-scratch without --oversample, --weights or --balance repeats the same "
            "training; give one of them"
        )
    refuse_own(request.run, read_spec(request.run), "retrain")
    origin = find_origin(
        request.run,
        trial_id=request.trial_id,
        data=request.data,
        trust_code=request.trust_code,
    )
    assert origin.dataset is not None, "our training loop has a dataset"
    carried = _carried(request, origin)
    dataset = origin.dataset
    if request.groups is not None:
        found = read_groups(request.groups, dataset)
        print(f"{request.groups}: {_words(found.notes)}", file=sys.stderr)
        print(count_by_split(found.named, dataset.splits), file=sys.stderr)
        dataset = dataset.joined(found.columns)
    fixed = {name: value for name, value in origin.fixed.items() if name != "initial"}
    fixed |= {**request.sampling, **carried.hashes}
    if request.epochs is not None:
        fixed["epochs"] = request.epochs
    for line in _check(TrainConfig.create(fixed), dataset):
        print(line, file=sys.stderr)
    name = request.name or f"{request.run.resolve().name}-retrain"
    spec = origin.further_spec(name, {"fixed": fixed}, request.overrides)
    return start(spec, root, carried, executor=executor)


def _carried(request: Request, origin: Origin) -> Carried:
    trial, run = origin.trial, origin.run
    initial = None
    if not request.from_scratch:
        initial = best_weights(run, trial.id)
        if trial.config.get("fold") is not None:
            raise RunError(
                f"trial {trial.id} was trained on fold {trial.config['fold']}, so its weights were "
                "trained on validation pictures; add --from-scratch"
            )
        if not initial.is_file():
            kept = sorted(path.parent.name for path in (run / CHECKPOINTS_DIR).glob("*/best.pt"))
            raise RunError(
                f"the best weights of trial {trial.id} are not kept; --trial can be "
                f"{', '.join(kept) or 'none, because no weights are kept'}, or add --from-scratch"
            )
    return Carried(
        origin={"run": str(run.resolve()), "trial_id": trial.id},
        initial=initial,
        groups=request.groups or carried_groups(run),
    )


def _words(notes: Mapping[str, Any]) -> str:
    empty = ", ".join(f"{count:,} in {name}" for name, count in notes["empty_cells"].items())
    return (
        f"{notes['unknown_ids']:,} ids match no picture, {notes['pictures_without']:,} pictures "
        f"are missing from it, empty cells: {empty or 'none'}"
    )


def _check(config: TrainConfig, dataset: ImageDataset) -> Iterator[str]:
    """Yield a line for each group with its number of training pictures.

    Raises:
        RunError: A group has no training picture.
        UserError: A group does not exist.
    """
    check_groups(config, dataset.columns)
    train = dataset.rows("train")
    for group, members in _members(config, dataset):
        count = int(members[train].sum())
        if count == 0:
            raise RunError(
                f"none of the {len(train):,} training pictures has {group}, so nothing would "
                "change; name another group"
            )
        yield f"{group}: {count:,} of {len(train):,} training pictures"


def _members(
    config: TrainConfig, dataset: ImageDataset
) -> Iterator[tuple[str, npt.NDArray[np.bool_]]]:
    """Yield each group in ``config``, and (n,) whether a picture is in it."""
    texts = [text for text in (config.oversample, config.sample_weights) if text is not None]
    named = {(group.column, group.value): None for text in texts for group in group_factors(text)}
    for column, value in named:
        yield f"{column}={value}", dataset.columns[column] == value


def comparison(run: Path, sweep: Sweep) -> Iterator[str]:
    """Yield lines that compare accuracies before and after retraining."""
    origin, dataset, trial = (
        read_provenance(run)["origin"],
        find_dataset(run, None),
        sweep.incumbent,
    )
    after = None if trial is None else _right(run, trial.id)
    before = _right(Path(origin["run"]), origin["trial_id"])
    if trial is not None and after and before:
        groups = [("all validation pictures", np.ones(len(dataset.image_ids), dtype=bool))]
        groups += _members(TrainConfig.create(trial.config), dataset)
        parts = [
            part
            for name, members in groups
            if (part := _change(name, dataset.image_ids[members].tolist(), before, after))
        ]
        yield f"validation accuracy before and after: {'; '.join(parts)}"
    groups_file = carried_groups(run)
    option = "" if groups_file is None else f" --groups {shell_path(groups_file)}"
    yield f"by group, with intervals: `python -m analysis bias {shell_path(run)}{option}`"


def _right(run: Path, trial_id: str) -> dict[str, bool] | None:
    """Return which validation pictures a trial classified correctly; None without predictions."""
    table = read_predictions(run, trial_id)
    if table is None:
        return None
    of_val = [split == "val" for split in table["split"].to_pylist()]
    predicted = np.array(table["probabilities"].to_pylist()).argmax(axis=1)
    right = predicted == table["label"].to_numpy()
    rows = zip(table["image_id"].to_pylist(), right.tolist(), of_val, strict=True)
    return {image_id: is_right for image_id, is_right, is_val in rows if is_val}


def _change(
    name: str, image_ids: Iterable[str], before: Mapping[str, bool], after: Mapping[str, bool]
) -> str:
    shared = [image_id for image_id in image_ids if image_id in before and image_id in after]
    if not shared:
        return ""
    then, now = (
        sum(right[image_id] for image_id in shared) / len(shared) for right in (before, after)
    )
    return f"{name} {then:.4f} to {now:.4f} (n {len(shared):,})"
