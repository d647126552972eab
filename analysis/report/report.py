"""Builds the report of a run: which tables and figures are on its page, and in which order."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from threadpoolctl import threadpool_limits

from analysis.curves.figure import BEST_SHOWN, best_models
from analysis.drawing.drawing import Drawn, render
from analysis.effects.early import early_warning
from analysis.groups.figure import groups_figure
from analysis.rendering.page import (
    Block,
    Page,
    Section,
    check_place,
    figures_of,
    tables_of,
    write_page,
)
from analysis.rendering.table import Table
from analysis.rendering.words import status_words
from analysis.report.figures import FIGURES
from analysis.report.summary import found, unknown
from analysis.report.tables import TABLES
from analysis.run.dataset import DatasetLeftOutError, find_dataset
from analysis.run.run_data import RunData
from analysis.trials.headline import headline, status_counts
from fairsweep.split_leaks import leak_words

Progress = Callable[[str], None]
Tables = Mapping[str, list[Table]]
Figures = Mapping[str, list[Drawn]]


@dataclass(frozen=True, kw_only=True)
class Written:
    """What `write_report` wrote."""

    page: Path
    tables: int
    figures: int
    left_out: str
    """Why the dataset is not shown; empty if it is."""


def write_report(run: RunData, out: Path, progress: Progress) -> Written:
    """Write the report of ``run`` into ``out``; an earlier report there is replaced at the end.

    Args:
        run: The run.
        out: Directory of the report; created if it does not exist.
        progress: Called with the name of each table and figure as it is made.

    Raises:
        UserError: ``out`` holds something other than a report.
    """
    check_place(out)
    with threadpool_limits(1):  # the matrices are thin, so more threads wait for each other
        tables = {name: list(_announced(make(run), progress)) for name, make in TABLES.items()}
        figures, left_out = _draw(run, progress)
    figures["bias"] = [render(drawing) for drawing in groups_figure(tables["bias"])]
    progress("report.html")
    page = _page(run, tables, figures, left_out)
    return Written(
        page=write_page(page, out),
        tables=len(list(page.tables)),
        figures=len(list(page.figures)),
        left_out=left_out if run.knows_dataset else "",
    )


def _announced(tables: Iterator[Table], progress: Progress) -> Iterator[Table]:
    for table in tables:
        progress(f"table {table.name}")
        yield table


def _draw(run: RunData, progress: Progress) -> tuple[dict[str, list[Drawn]], str]:
    """Draw all figures; also return why the dataset is left out, or an empty text."""
    sections: dict[str, list[Drawn]] = {section: [] for section in FIGURES}
    left_out = ""
    for section, make in FIGURES.items():
        try:
            for drawing in make(run):
                progress(f"figure {drawing.name}")
                sections[section].append(render(drawing))
        except DatasetLeftOutError as reason:
            left_out = str(reason)
    return sections, left_out


def _page(run: RunData, tables: Tables, figures: Figures, left_out: str) -> Page:
    counts = {status: f"{count:,}" for status, count in status_counts(run).items()}
    return Page(
        title=run.name,
        subtitle="Report of a hyperparameter sweep",
        tiles={**headline(run), "trials": f"{len(run.trials):,}", **counts},
        found=tuple(found(run)),
        unknown=tuple(unknown(run)),
        sections=tuple(
            section
            for section in _sections(run, tables, figures, left_out)
            if section.blocks or section.warning
        ),
        trials={
            int(trial["number"]): f"{trial['name']}, trial {trial['number']} "
            f"({status_words(trial['status'])})"
            for trial in run.trials[["number", "name", "status"]].to_dict("records")
        },
    )


FEW_CLASSES = 6
"""A matrix of more classes gets as much room as the learning curves beside it."""
SECTIONS = {
    "configurations": ("best", "selection", "folds", "comparisons", "replicates", "latency"),
    "hyperparameters": ("effects", "levels", "importance", "by"),
    "best": ("ensemble", "probabilities", "classes", "confusions", "suspects"),
    "bias": ("bias",),
    "dataset": ("dataset", "copies"),
    "incomplete": ("incomplete",),
}
"""Section of the page → its tables from `TABLES`; tables not listed here go to Trials."""
FOLDED = ("comparisons", "replicates", "by", "suspects", "copies")
"""Tables whose content another table or figure before them shows in short; the page shows their
titles alone."""


def _sections(run: RunData, tables: Tables, figures: Figures, left_out: str) -> Iterator[Section]:
    placed = {name for names in SECTIONS.values() for name in names}
    first = [name for name in tables if name not in placed]
    compared, *others = SECTIONS["configurations"]
    yield Section(
        id="configurations",
        title="Configurations",
        blocks=(
            *_tables(tables, [compared]),
            *figures_of([*figures["comparisons"], *figures["folds"]]),
            *_tables(tables, others),
        ),
    )
    blocks = (
        *figures_of([*figures["effects"], *figures["parallel"]]),
        *_tables(tables, SECTIONS["hyperparameters"]),
        *_pairs(figures["pairs"]),
    )
    yield Section(
        id="hyperparameters",
        title="Hyperparameters",
        warning=early_warning(run) if blocks else "",
        blocks=blocks,
    )
    trials = (*_tables(tables, first), *figures_of(figures["cost"]))
    yield Section(id="trials", title="Single trials", blocks=trials)
    learning = figures_of([*figures["overview"], *figures["agreement"], *figures["progress"]])
    yield Section(id="learning", title="Learning", blocks=learning)
    yield _best(run, tables, figures)
    groups = (*figures_of(figures["bias"]), *_tables(tables, SECTIONS["bias"]))
    yield Section(id="groups", title="Groups", blocks=groups)
    if run.knows_dataset:
        yield _dataset(run, tables, figures, left_out)
    incomplete = tuple(_tables(tables, SECTIONS["incomplete"]))
    yield Section(id="incomplete", title="Incomplete trials", blocks=incomplete)
    yield Section(id="provenance", title="Provenance", blocks=tuple(_provenance(run)))


def _dataset(run: RunData, tables: Tables, figures: Figures, left_out: str) -> Section:
    return Section(
        id="dataset",
        title="Dataset",
        warning=_dataset_warning(run, left_out),
        blocks=(
            *figures_of(figures["dataset"]),
            *_tables(tables, SECTIONS["dataset"]),
            Block(kind="facts", facts=_dataset_facts(run)),
        ),
    )


def _pairs(figures: list[Drawn]) -> Iterator[Block]:
    shown = tuple(figure for figure in figures if not figure.drawing.aside)
    aside = tuple(figure for figure in figures if figure.drawing.aside)
    if shown:
        yield Block(kind="grid", figures=shown)
    if aside:
        title = f"Other pairs of hyperparameters ({len(aside)})"
        yield Block(kind="grid", title=title, figures=aside, folded=True)


def _tables(tables: Tables, names: Any) -> Iterator[Block]:
    for name in names:
        yield from tables_of(tables.get(name, []), folded=name in FOLDED)


def _best(run: RunData, tables: Tables, figures: Figures) -> Section:
    """Return the best models, each with its learning curves and its confusion matrix."""
    matrices = {d.drawing.name.removeprefix("confusion_"): d for d in figures["confusion"]}
    missing = "No confusion matrix: this trial has no predictions." * bool(run.info.classes)
    blocks = []
    for trial, curves in zip(best_models(run), figures["curves"], strict=True):
        matrix = matrices.get(curves.drawing.name.removeprefix("curves_"))
        value = run.metric.text(trial[run.value_column])
        blocks.append(
            Block(
                kind="beside",
                title=f"{trial['name']}, trial {trial['number']}: {run.metric.long} {value}",
                figures=(curves, *([matrix] if matrix else [])),
                missing=missing if not matrix else "",
                even=len(run.info.classes) > FEW_CLASSES,
            )
        )
    drawn = (*figures["curves"], *figures["confusion"])
    captions = dict.fromkeys(figure.drawing.caption for figure in drawn)
    return Section(
        id="best",
        title="Best models",
        words=(
            f"Learning curves{' and confusion matrices' * run.has_pictures} of the best "
            f"{len(blocks)} of {len(run.trials):,} trials, in the order of the table of all models "
            f"(at most {BEST_SHOWN} are shown).",
        ),
        blocks=(
            *figures_of([*figures["confused_pairs"], *figures["mistakes"]]),
            *figures_of([*figures["suspects"], *figures["probabilities"]]),
            *_tables(tables, SECTIONS["best"]),
            *(Block(kind="note", text=caption) for caption in captions),
            *blocks,
        ),
    )


def _dataset_warning(run: RunData, left_out: str) -> str:
    """Return why the dataset is missing, or warnings about copies and persons in several splits."""
    if left_out:
        return f"Pictures and class counts are left out: {left_out}."
    return " ".join(_leaks(find_dataset(run).manifest))


def _leaks(manifest: Mapping[str, Any]) -> Iterator[str]:
    copies = manifest.get("duplicates", {}).get("across_splits", 0)
    if copies:
        pictures = "or test picture has" if copies == 1 else "and test pictures have"
        yield (
            f"{copies:,} validation {pictures} a copy in the training split, so "
            "accuracies are too high. `python -m data_prep inspect DATASET --figures OUT` shows "
            "and lists them."
        )
    columns = manifest.get("details", {}).get("leaking_columns", {})
    for sentence in leak_words(columns, manifest.get("split_method", "")):
        yield f"{sentence}."


def _dataset_facts(run: RunData) -> dict[str, str]:
    """Return the source of the pictures and each preparation step, as far as they are known."""
    known = run.provenance.get("dataset") or {}
    try:
        manifest = find_dataset(run).manifest
    except DatasetLeftOutError:
        return _flat(known)
    steps = {
        f"step: {step['step']}": f"{step['removed']:,} removed, {step['left']:,} left"
        for step in manifest.get("steps", ())
    }
    wanted = ("label_rule", "split_method", "split_seed", "duplicates", "image_shape", "versions")
    return {**_flat(known), **steps, **_flat({k: manifest[k] for k in wanted if k in manifest})}


def _provenance(run: RunData) -> Iterator[Block]:
    rest = {
        key: value for key, value in run.provenance.items() if key not in ("dataset", "command")
    }
    command = run.provenance.get("command")
    if command:
        text = command if isinstance(command, str) else " ".join(map(str, command))
        yield Block(kind="code", title="The command that repeats the run", text=text)
    if rest:
        yield Block(kind="facts", facts=_flat(rest))
    if run.spec:
        yield Block(kind="code", title="The sweep's spec, spec.yaml", text=run.spec, folded=True)


def _flat(values: Mapping[str, Any], prefix: str = "") -> dict[str, str]:
    """Flatten nested mappings to one level: ``dataset`` → ``path`` becomes ``dataset: path``."""
    rows: dict[str, str] = {}
    for key, value in values.items():
        name = prefix + str(key).replace("_", " ")
        if isinstance(value, Mapping):
            rows |= _flat(value, f"{name}: ")
        elif isinstance(value, list):
            rows[name] = " ".join(map(str, value))
        else:
            rows[name] = str(value)
    return rows
