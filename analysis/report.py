"""Writes the report of a run: report.html (one file, no network), tables/ and figures/."""

import base64
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from analysis.dataset import DatasetLeftOutError
from analysis.figures.curves import BEST_SHOWN, best_models
from analysis.figures.drawing import Drawn, render
from analysis.figures.registry import FIGURES
from analysis.figures.style import BLUE, INK, MUTED, PAPER, RULE
from analysis.run_data import RunData
from analysis.summary import best_trial, percent, sentences, status_counts
from analysis.tables.registry import TABLES
from analysis.tables.render import FORMATS, SUFFIXES
from analysis.tables.table import Table

REPORT_FILE = "report.html"
PARTS = (REPORT_FILE, "tables", "figures")
LARGEST_SVG = 150_000
"""Characters; a figure with a larger SVG is embedded as a PNG."""
LEAST_WIDTH = "560px"
"""On a narrow screen a figure is not made smaller than this; it scrolls."""
THEME = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    PAPER: "var(--paper)",
    BLUE: "var(--blue)",
}


@dataclass(frozen=True, kw_only=True)
class Written:
    """What `write_report` left on disk."""

    page: Path
    tables: int
    figures: int
    left_out: str
    """Why the dataset is not shown; empty where it is."""


def write_report(run: RunData, out: Path, progress: Callable[[str], None]) -> Written:
    """Write the report of ``run`` into ``out``; an earlier report there is replaced at the end.

    Args:
        run: The run.
        out: Directory of the report; made if it is not there.
        progress: Is told what is being made.

    Raises:
        ValueError: ``out`` holds something that is no report.
    """
    _check_place(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as temporary:
        place = Path(temporary)
        tables = _write_tables(run, place / "tables", progress)
        figures, left_out = _write_figures(run, place / "figures", progress)
        progress(REPORT_FILE)
        page = _page(run, tables, figures, left_out)
        (place / REPORT_FILE).write_text(page, encoding="utf-8")
        _replace(place, out)
    return Written(
        page=out / REPORT_FILE,
        tables=sum(map(len, tables.values())),
        figures=sum(map(len, figures.values())),
        left_out=left_out,
    )


def _check_place(out: Path) -> None:
    if out.exists() and not out.is_dir():
        raise ValueError(f"--out must be a directory, but {out} is a file")
    foreign = out.is_dir() and any(out.iterdir()) and not (out / REPORT_FILE).is_file()
    if foreign:
        raise ValueError(f"{out} already holds something other than a report; choose another --out")


def _write_tables(
    run: RunData, directory: Path, progress: Callable[[str], None]
) -> dict[str, list[Table]]:
    directory.mkdir()
    sections = {section: list(make(run)) for section, make in TABLES.items()}
    for table in (table for tables in sections.values() for table in tables):
        progress(f"table {table.name}")
        for name, write in FORMATS.items():
            (directory / f"{table.name}{SUFFIXES[name]}").write_text(write(table), encoding="utf-8")
    return sections


def _write_figures(
    run: RunData, directory: Path, progress: Callable[[str], None]
) -> tuple[dict[str, list[Drawn]], str]:
    """Draw every figure; also return why the dataset is left out, if it is."""
    directory.mkdir()
    sections: dict[str, list[Drawn]] = {section: [] for section in FIGURES}
    left_out = ""
    for section, make in FIGURES.items():
        try:
            for drawing in make(run):
                progress(f"figure {drawing.name}")
                drawn = render(drawing)
                drawn.write(directory)
                sections[section].append(drawn)
        except DatasetLeftOutError as reason:
            left_out = str(reason)
    return sections, left_out


def _page(
    run: RunData, tables: dict[str, list[Table]], figures: dict[str, list[Drawn]], left_out: str
) -> str:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    best = best_trial(run)
    environment.filters["embed"] = embed
    return environment.get_template("report.html.j2").render(
        run=run,
        sentences=sentences(run),
        tiles=_tiles(run, percent(best["accuracy"])),
        best_shown=BEST_SHOWN,
        tables=tables,
        figures=figures,
        shared_notes=_shared_notes(tables["by"]),
        models=list(_side_by_side(run, figures)),
        left_out=left_out,
        provenance=_flat(run.provenance),
    )


def embed(drawn: Drawn) -> Markup:
    """Return a figure as HTML: its SVG in the colours of the page, or its PNG where that is large.

    The SVG goes without its ids of groups, which would stand on the page more than once.
    """
    alt = Markup('alt="{}"').format(drawn.drawing.title)
    if len(drawn.svg) > LARGEST_SVG:
        data = base64.b64encode(drawn.png).decode()
        return Markup('<img class="raster" {} src="data:image/png;base64,{}">').format(alt, data)
    svg = drawn.svg[drawn.svg.index("<svg") :]
    svg = re.sub(r'<g id="[^"]*">', "<g>", re.sub(r"<metadata>.*</metadata>", "", svg, flags=re.S))
    for colour, variable in THEME.items():
        svg = svg.replace(colour, variable)
    start = Markup('<svg role="img" aria-label="{}" style="min-width: min({}, {})" ').format(
        drawn.drawing.title, _width(svg), LEAST_WIDTH
    )
    return Markup(svg.replace("<svg ", start, 1))


def _width(svg: str) -> str:
    found = re.search(r'<svg [^>]*width="([0-9.]+pt)"', svg)
    return found[1] if found else "100%"


def _tiles(run: RunData, best: str) -> dict[str, str]:
    counts = {status: f"{count:,}" for status, count in status_counts(run).items()}
    return {"best validation accuracy": best, "trials": f"{len(run.trials):,}", **counts}


def _shared_notes(tables: list[Table]) -> list[str]:
    """Return the notes that every one of ``tables`` has, to be told once for all of them."""
    first = tables[0].notes if tables else ()
    return [note for note in first if all(note in table.notes for table in tables)]


def _side_by_side(run: RunData, figures: dict[str, list[Drawn]]) -> Iterator[tuple[Any, ...]]:
    """Yield each of the best models with its curves and its confusion matrix, None if missing."""
    matrices = {d.drawing.name.removeprefix("confusion_"): d for d in figures["confusion"]}
    at = run.info.objective["at"]
    for trial, curves in zip(best_models(run), figures["curves"], strict=True):
        told = {**trial, "accuracy": percent(trial[f"{at}_val_accuracy"])}
        yield told, curves, matrices.get(curves.drawing.name.removeprefix("curves_"))


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


def _replace(place: Path, out: Path) -> None:
    """Move the finished parts from ``place`` to ``out``, over those of an earlier report."""
    out.mkdir(exist_ok=True)
    for part in PARTS:
        old = out / part
        if old.is_dir():
            shutil.rmtree(old)
        (place / part).replace(old)
