"""Writes a report page: one self-contained HTML file, with tables/ and figures/ beside it."""

import base64
import json
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape

from analysis.drawing.chart import to_plain
from analysis.drawing.drawing import Drawn
from analysis.drawing.style import BLUE, COLOUR_MAP, INK, MUTED, PAPER, RULE
from analysis.rendering.render import FORMATS, SUFFIXES
from analysis.rendering.table import Table
from fairsweep.drawing.axis import AXIS_JS
from fairsweep.errors import UserError

TEMPLATES = Path(__file__).parent / "templates"
_CHARTS = ("drawing", "view", "panel", "parallel", "page")
CHARTS_JS = [AXIS_JS, *(TEMPLATES / "charts" / f"{part}.js" for part in _CHARTS)]
"""The scripts that draw the charts, in order: each uses those before it."""
PAGE_FILE = "report.html"
PARTS = (PAGE_FILE, "tables", "figures")
LARGEST_SVG = 150_000
"""Characters; a static figure with a larger SVG is embedded as a PNG."""
ROWS_AT_ONCE = 100
"""Rows of a table that are in the HTML; a script adds the others on scrolling."""
COLOUR_STOPS = 17
THEME = {
    INK: "var(--ink)",
    MUTED: "var(--muted)",
    RULE: "var(--rule)",
    PAPER: "var(--paper)",
    BLUE: "var(--blue)",
}
"""Colour in a figure → CSS variable of the page's light or dark theme."""


@dataclass(frozen=True, kw_only=True)
class Block:
    """One element of a section; ``kind`` decides which fields are used."""

    kind: str
    """``table``, ``figure``, ``grid`` (several figures), ``beside`` (two figures under a title),
    ``note`` (a sentence), ``facts`` (names and values) or ``code``."""
    table: Table | None = None
    shared_notes: tuple[str, ...] = ()
    """Notes of the table that are not repeated here, because a later block shows them."""
    figure: Drawn | None = None
    figures: tuple[Drawn, ...] = ()
    title: str = ""
    missing: str = ""
    """Text in place of a second figure that does not exist."""
    text: str = ""
    facts: Mapping[str, str] = field(default_factory=dict)
    folded: bool = False
    even: bool = False
    """Whether the two figures of ``beside`` are of equal width."""


@dataclass(frozen=True, kw_only=True)
class Section:
    """One section of the page, with its heading."""

    id: str
    title: str
    blocks: tuple[Block, ...]
    words: tuple[str, ...] = ()
    warning: str = ""


@dataclass(frozen=True, kw_only=True)
class Page:
    """The content of a page."""

    title: str
    subtitle: str
    tiles: Mapping[str, str]
    """Label → key figure."""
    found: tuple[str, ...]
    """Sentences about what is known."""
    unknown: tuple[str, ...]
    """Sentences about what is not known."""
    sections: tuple[Section, ...]
    trials: Mapping[int, str]
    """Trial number → name of the trial in charts."""

    @property
    def tables(self) -> Iterator[Table]:
        """Every table of the page."""
        return (b.table for section in self.sections for b in section.blocks if b.table)

    @property
    def figures(self) -> Iterator[Drawn]:
        """Every figure of the page."""
        for block in (block for section in self.sections for block in section.blocks):
            yield from (*block.figures, *([block.figure] if block.figure else []))


def tables_of(tables: list[Table], *, folded: bool = False) -> tuple[Block, ...]:
    """Return a block for each table; notes that all tables share appear once, after the last.

    Of a folded table, the page shows the title until the reader opens it.
    """
    first = tables[0].notes if len(tables) > 1 else ()
    shared = tuple(note for note in first if all(note in table.notes for table in tables))
    blocks = tuple(
        Block(kind="table", table=table, shared_notes=shared, folded=folded) for table in tables
    )
    return (*blocks, Block(kind="note", text=" ".join(shared))) if shared else blocks


def figures_of(figures: list[Drawn]) -> tuple[Block, ...]:
    """Return a block for each figure."""
    return tuple(Block(kind="figure", figure=figure) for figure in figures)


def write_page(page: Page, out: Path) -> Path:
    """Write ``page`` into ``out``, replacing an earlier report; return the path of the HTML file.

    Raises:
        UserError: ``out`` holds something other than a report.
    """
    check_place(out)
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.parent, prefix=f".{out.name}-") as temporary:
        place = Path(temporary)
        (place / "tables").mkdir()
        (place / "figures").mkdir()
        for table in page.tables:
            for name, write in FORMATS.items():
                path = place / "tables" / f"{table.name}{SUFFIXES[name]}"
                path.write_text(write(table), encoding="utf-8")
        for figure in page.figures:
            figure.write(place / "figures")
        (place / PAGE_FILE).write_text(to_html(page), encoding="utf-8")
        _replace(place, out)
    return out / PAGE_FILE


def check_place(out: Path) -> None:
    """Raise UserError if ``out`` holds something other than a report."""
    if out.exists() and not out.is_dir():
        raise UserError(f"--out must be a directory, but {out} is a file")
    foreign = out.is_dir() and any(out.iterdir()) and not (out / PAGE_FILE).is_file()
    if foreign:
        raise UserError(f"{out} already holds something other than a report; choose another --out")


def to_html(page: Page) -> str:
    """Return the HTML of the page."""
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"embed": embed, "json": _json, "rows": _rows, "words": _words}
    parts = {
        "css": [TEMPLATES / "page.css"],
        "tables_js": [TEMPLATES / "tables.js"],
        "charts_js": CHARTS_JS,
    }
    return environment.get_template("page.html.j2").render(
        page=page,
        constants=_constants(page),
        rows_at_once=ROWS_AT_ONCE,
        **{
            name: Markup("\n".join(file.read_text("utf-8") for file in files))
            for name, files in parts.items()
        },
    )


def embed(drawn: Drawn) -> Markup:
    """Return a figure as HTML: an interactive chart, its SVG, or its PNG if the SVG is large.

    The SVG gets the colours of the page's theme. Its group ids are removed, as several figures have
    the same ones.
    """
    title, name = drawn.drawing.title, drawn.drawing.name
    if drawn.drawing.chart is not None:
        return Markup(
            '<div class="chart" data-title="{}"><noscript>This chart needs JavaScript; a static '
            'copy is figures/{}.svg</noscript><script type="application/json">{}</script></div>'
        ).format(title, name, _json(to_plain(drawn.drawing.chart)))
    if len(drawn.svg) > LARGEST_SVG:
        data = base64.b64encode(drawn.png).decode()
        image = '<img class="raster" alt="{}" src="data:image/png;base64,{}">'
        return Markup(image).format(title, data)
    svg = drawn.svg[drawn.svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*</metadata>", "", svg, flags=re.S)
    svg = re.sub(r'<g id="[^"]*"(/?)>', r"<g\1>", svg)
    for colour, variable in THEME.items():
        svg = svg.replace(colour, variable)
    start = Markup('<svg role="img" aria-label="{}" ').format(title)
    return Markup('<div class="still">{}</div>').format(Markup(svg.replace("<svg ", start, 1)))


def _words(text: str) -> Markup:
    """Return a sentence as HTML, with the text between backticks as code."""
    return Markup(re.sub(r"`([^`]*)`", r"<code>\1</code>", str(escape(text))))


def _rows(shown: pd.DataFrame) -> list[list[str]]:
    return [list(row) for row in shown.itertuples(index=False)]


def _json(value: Any) -> Markup:
    """Return JSON that is safe inside a script element: no text in it can end the element."""
    text = json.dumps(value, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))


def _constants(page: Page) -> dict[str, Any]:
    """Return the data that the chart scripts need besides the charts."""
    stops = mpl.colormaps[COLOUR_MAP](np.linspace(0, 1, COLOUR_STOPS))
    return {
        "theme": THEME,
        "ink": INK,
        "muted": MUTED,
        "rule": RULE,
        "paper": PAPER,
        "blue": BLUE,
        "colours": (255 * stops[:, :3]).round().astype(int).tolist(),
        "trials": dict(page.trials),
    }


def _replace(place: Path, out: Path) -> None:
    """Move the finished parts from ``place`` to ``out``, replacing those of an earlier report."""
    out.mkdir(exist_ok=True)
    for part in PARTS:
        old = out / part
        if old.is_dir():
            shutil.rmtree(old)
        (place / part).replace(old)
