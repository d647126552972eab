"""The pages and the charts of a comparison of two or more runs."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from analysis.curves.progress_figure import (
    best_layer,
    objective_metric,
    prepare,
    spent_column,
    spent_label,
)
from analysis.drawing.chart import Axis, Chart, Layer, Panel, float_array
from analysis.drawing.drawing import Drawing, charted, render
from analysis.drawing.style import BLUE, VERMILION, series_style
from analysis.rendering.page import Block, Page, Section, figures_of, tables_of, write_page
from analysis.rendering.words import first_upper
from analysis.run.metric import Metric
from analysis.run.run_data import RunData
from analysis.runs.compare import Comparison
from analysis.runs.many import ManyRuns
from analysis.runs.together import fingerprint_of
from analysis.trials.headline import headline


class RunStyle(NamedTuple):
    """Colour, line and marker of a run."""

    colour: str
    dash: str
    marker: str


STYLES = (RunStyle(BLUE, "-", "o"), RunStyle(VERMILION, "--", "s"))
"""Styles of the first and the second of two runs."""


def write_comparison(compared: Comparison | ManyRuns, out: Path) -> Path:
    """Write the page of a comparison into ``out`` and return its path.

    Raises:
        UserError: ``out`` holds something other than a report.
    """
    page = _page_of_two(compared) if isinstance(compared, Comparison) else _page_of_many(compared)
    return write_page(page, out)


def _page_of_two(compared: Comparison) -> Page:
    figures = [render(drawing) for drawing in drawings(compared)]
    facts = Block(kind="facts", facts=_facts(compared))
    return Page(
        title=" and ".join(compared.names),
        subtitle="Two hyperparameter sweeps on the same dataset",
        tiles=_tiles(compared.runs, compared.names),
        found=compared.found,
        unknown=compared.unknown,
        sections=(
            Section(id="best", title="Best configurations", blocks=tables_of([compared.best])),
            Section(id="cost", title="Cost", blocks=figures_of(figures)),
            Section(id="provenance", title="Provenance", blocks=(facts,)),
        ),
        trials={},
    )


def _page_of_many(compared: ManyRuns) -> Page:
    runs, names = compared.together.runs, compared.together.names
    styles = [RunStyle(**series_style(place)) for place in range(len(runs))]
    figures = [render(drawing) for drawing in _drawings(runs, names, styles, "all")]
    cost = Section(id="cost", title="Cost", blocks=figures_of(figures))
    *sections, differences = [
        Section(id=table.name, title=title, blocks=tables_of([table]))
        for title, table in compared.tables.items()
    ]
    return Page(
        title=f"{len(runs)} runs",
        subtitle="Hyperparameter sweeps on the same dataset: " + ", ".join(names),
        tiles=_tiles(runs, names),
        found=compared.found,
        unknown=compared.unknown,
        sections=(*sections, cost, differences),
        trials={},
    )


def drawings(compared: Comparison) -> Iterator[Drawing]:
    """Yield the best value so far over device-hours, and accuracy over parameters, of both runs."""
    return _drawings(compared.runs, compared.names, STYLES, "both")


def _drawings(
    runs: Sequence[RunData], names: Sequence[str], styles: Sequence[RunStyle], which: str
) -> Iterator[Drawing]:
    frames = [prepare(run) for run in runs]
    kinds = {
        (*run.info.objective.items(), spent_column(f)) for run, f in zip(runs, frames, strict=True)
    }
    if len(kinds) == 1 and all(frame["best"].notna().any() for frame in frames):
        yield charted(
            name=f"best_so_far_of_{which}",
            title=f"Best so far of {which}",
            caption="The best value of each sweep so far against the device-hours spent (hours of "
            "training times the GPUs or CPU cores in use)."
            if spent_column(frames[0]) == "device_hours"
            else "The best value of each sweep so far against the epochs trained.",
            chart=_chart(
                Axis(label=spent_label(frames[0])),
                objective_metric(runs[0]),
                tuple(
                    best_layer(frame, name, style.colour, style.dash, named=False)
                    for frame, name, style in zip(frames, names, styles, strict=True)
                ),
            ),
        )
    if not all(run.completed["parameters"].notna().any() for run in runs):
        return
    metric = runs[0].metric
    yield charted(
        name=f"accuracy_against_parameters_of_{which}",
        title=f"{first_upper(metric.word)} against parameters",
        caption=f"{first_upper(metric.long)} of every completed trial, at the epoch that the run's "
        "objective selects, against the trainable parameters of its network.",
        chart=_chart(
            Axis(label="trainable parameters", log=True),
            metric,
            tuple(map(_points, runs, names, styles)),
        ),
    )


def _tiles(runs: Sequence[RunData], names: Sequence[str]) -> dict[str, str]:
    return {
        f"{name}: {what}": accuracy
        for run, name in zip(runs, names, strict=True)
        for what, accuracy in headline(run).items()
    }


def _facts(compared: Comparison) -> dict[str, str]:
    facts: dict[str, str] = {}
    for run, name in zip(compared.runs, compared.names, strict=True):
        facts |= {
            f"{name}: command": str(run.provenance.get("command", "unknown")),
            f"{name}: searcher": run.info.searcher,
            f"{name}: scheduler": run.info.scheduler,
            f"{name}: trials": f"{len(run.trials):,}",
        }
    fingerprint = fingerprint_of(compared.runs[0])
    return {"fingerprint of the dataset": fingerprint or "not known", **facts}


def _chart(x: Axis, metric: Metric, layers: tuple[Layer, ...]) -> Chart:
    y = Axis(label=metric.axis)
    return Chart(panels=(Panel(x=x, y=y, layers=layers),), panel_size=(6.3, 3.3))


def _points(run: RunData, name: str, style: RunStyle) -> Layer:
    trials = run.completed[run.completed["parameters"].notna()]
    return Layer(
        kind="points",
        label=name,
        x=float_array(trials["parameters"]),
        y=run.metric.scale * float_array(trials[run.value_column]),
        texts=tuple(f"{name}: {trial}" for trial in trials["name"]),
        colour=style.colour,
        marker=style.marker,
        alpha=0.8,
    )
