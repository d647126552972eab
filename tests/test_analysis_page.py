"""The page itself: where it is written, what stands on it, and in which form."""

import base64
import json
import re
from dataclasses import replace
from io import BytesIO

import numpy as np
import pandas as pd
import pytest
from matplotlib.figure import Figure
from PIL import Image

from analysis.drawing.chart import Axis, Chart, Layer, Panel
from analysis.drawing.drawing import Drawing, charted, render
from analysis.drawing.style import PAPER
from analysis.rendering import page as pages
from analysis.rendering.page import (
    Block,
    Page,
    Section,
    check_place,
    embed,
    figures_of,
    tables_of,
    to_html,
    write_page,
)
from analysis.rendering.table import Column, Table, View


def table(name, *notes, title="Some"):
    frame = pd.DataFrame({"name": ["a <b>", "c"], "n": [1, 2]})
    columns = (Column(key="name", heading="name"), Column(key="n", heading="n"))
    return Table(name=name, frame=frame, views=(View(title=title, columns=columns),), notes=notes)


def page_of(*sections, **settings):
    facts = {"title": "a run", "subtitle": "b", "tiles": {}, "found": (), "unknown": ()}
    return Page(sections=sections, **{**facts, "trials": {}, **settings})


@pytest.fixture(scope="module")
def still():
    """A figure that the page cannot draw itself."""

    def draw():
        figure = Figure(figsize=(2, 2))
        figure.subplots().plot([1, 2], color="#1d232b")
        return figure

    return render(Drawing(name="still", title="A & B", caption="`run` it.", draw=draw))


@pytest.fixture(scope="module")
def chart():
    layer = Layer(kind="points", x=np.array([1.0]), y=np.array([2.0]), label="</script>")
    panel = Panel(x=Axis(label="x"), y=Axis(label="y"), layers=(layer,))
    return render(
        charted(name="charted", title="A chart", caption="c.", chart=Chart(panels=(panel,)))
    )


def test_a_drawn_chart_is_on_the_page_and_has_paper_in_its_png_alone(still, chart):
    assert not chart.drawing.aside
    assert chart.drawing.chart is not None
    assert still.drawing.chart is None
    picture = Image.open(BytesIO(still.png)).convert("RGBA")
    assert picture.size == (320, 320)  # 2 inches of 160 dots
    assert picture.getpixel((0, 0)) == tuple(bytes.fromhex(f"{PAPER[1:]}ff"))
    # The page behind an SVG can be dark, so nothing fills its 144 × 144 points.
    assert 'viewBox="0 0 144 144"' in still.svg
    assert "M 0 144" not in still.svg
    assert "<dc:date>" not in still.svg


def test_what_all_tables_of_a_section_note_stands_once_below_the_last():
    first, second = table("one", "n: x.", "A.", "B."), table("two", "B.", "n: x.", "C.")
    blocks = tables_of([first, second])
    assert [block.kind for block in blocks] == ["table", "table", "note"]
    assert [block.table for block in blocks[:2]] == [first, second]
    assert all(block.shared_notes == ("n: x.", "B.") for block in blocks[:2])
    assert blocks[2].text == "n: x. B."
    html = to_html(page_of(Section(id="s", title="S", blocks=blocks)))
    notes = re.findall(r'<p class="note">(.*?)</p>', html)
    assert notes == ["A.", "C.", "n: x. B."]


def test_a_single_table_keeps_its_notes():
    (block,) = tables_of([table("one", "n: x.")])
    assert block.shared_notes == ()
    assert tables_of([]) == ()
    assert [one.kind for one in tables_of([table("one", "A."), table("two", "B.")])] == [
        "table"
    ] * 2


def test_sentences_tiles_and_headings_stand_on_the_page():
    section = Section(
        id="the-id", title="A & B", blocks=(), words=("In words.",), warning="Left out."
    )
    html = to_html(
        page_of(section, tiles={"trials": "16"}, found=("Run `a b`.",), unknown=("Not <known>.",))
    )
    assert '<h2 id="the-id">A &amp; B</h2>' in html
    assert '<a href="#the-id">A &amp; B</a>' in html
    assert '<p class="warning">Left out.</p>' in html
    assert "<b>16</b><span>trials</span>" in html
    assert "<p>Run <code>a b</code>.</p>" in html
    assert "<li>Not &lt;known&gt;.</li>" in html
    assert "<title>a run: b</title>" in html
    assert "What is not known" not in to_html(page_of(section))


def test_styles_and_scripts_are_on_the_page_as_they_are_written():
    html = to_html(page_of())
    files = [pages.TEMPLATES / "page.css", pages.TEMPLATES / "tables.js", *pages.CHARTS_JS]
    assert [file.name for file in files if file.read_text("utf-8") not in html] == []


def test_a_chart_is_embedded_as_json_that_ends_no_script(chart):
    html = embed(chart)
    assert 'data-title="A chart"' in html
    assert "figures/charted.svg" in html
    (text,) = re.findall(r'<script type="application/json">(.*?)</script>', html)
    written = json.loads(text)
    assert written["panels"][0]["layers"][0]["label"] == "</script>"


def test_a_still_figure_is_embedded_in_the_colours_of_the_page(still):
    html = embed(still)
    assert '<svg role="img" aria-label="A &amp; B" ' in html
    assert "var(--ink)" in html
    assert "#1d232b" not in html
    assert "<metadata>" not in html
    assert '<g id="' not in html
    assert "#1d232b" in still.svg
    assert not [colour for colour in pages.THEME if colour in html]


def test_folded_blocks_show_their_title_alone_until_they_are_opened(still, chart):
    blocks = (
        *tables_of([table("one", "n: x.", title="A table")], folded=True),
        Block(kind="grid", title="Other figures", figures=(still,), folded=True),
        Block(kind="code", title="The spec", text="x", folded=True),
        *tables_of([table("two", title="An open table")]),
        Block(kind="code", title="The command", text="y"),
        Block(kind="grid", figures=(chart,)),
    )
    html = to_html(page_of(Section(id="s", title="S", blocks=blocks)))
    assert re.findall("<summary>(.*?)</summary>", html) == ["A table", "Other figures", "The spec"]
    folded = "".join(re.findall("<details>(.*?)</details>", html, re.S))
    assert "n: x." in folded, "notes are folded with their table"
    assert "<pre>x</pre>" in folded
    assert "<svg" in folded
    headings = re.findall("<h3>(.*?)</h3>", html.replace(folded, ""))
    assert [one for one in headings if one != "A &amp; B"] == [
        "An open table", "The command", "A chart",
    ]  # fmt: skip


def test_two_figures_beside_each_other_share_the_room_only_if_told_and_one_may_be_missing(still):
    def html_of(**settings):
        block = Block(kind="beside", title="A model", figures=(still,), **settings)
        return to_html(page_of(Section(id="s", title="S", blocks=(block,))))

    assert '<div class="beside">' in html_of()
    assert '<div class="beside even">' in html_of(even=True)
    assert '<p class="note">No matrix.</p>' in html_of(missing="No matrix.")
    assert "<h3>A model</h3>" in html_of()


def test_a_large_figure_is_embedded_as_pixels(still, monkeypatch):
    monkeypatch.setattr(pages, "LARGEST_SVG", len(still.svg))
    assert "<svg" in embed(still)
    monkeypatch.setattr(pages, "LARGEST_SVG", len(still.svg) - 1)
    html = embed(still)
    assert "<svg" not in html
    data = re.search(r'src="data:image/png;base64,([^"]*)"', html).group(1)
    assert base64.b64decode(data) == still.png


def test_scripts_know_colours_and_the_names_of_trials():
    html = to_html(page_of(trials={3: "B8, trial 3"}))
    constants = next(
        json.loads(text)
        for text in re.findall(r'<script type="application/json"[^>]*>(.*?)</script>', html, re.S)
        if "theme" in text
    )
    assert constants["trials"] == {"3": "B8, trial 3"}
    assert len(constants["colours"]) == 17
    # The ends of cividis, in whole steps of 255.
    assert constants["colours"][0] == [0, 34, 78]
    assert constants["colours"][-1] == [254, 232, 56]


def test_files_of_every_table_and_figure_stand_beside_the_page(still, chart, tmp_path):
    blocks = (
        *tables_of([table("one")]),
        *figures_of([still]),
        Block(kind="grid", figures=(chart,)),
        Block(kind="facts", facts={"a key": "a value"}),
        Block(kind="code", title="The spec", text="x: <1>", folded=True),
    )
    page = write_page(
        page_of(Section(id="s", title="S", blocks=blocks)), tmp_path / "new" / "an out"
    )
    out = tmp_path / "new" / "an out"
    assert page == out / "report.html"
    assert sorted(path.name for path in out.rglob("*.*")) == [
        "charted.png", "charted.svg", "one.csv", "one.json", "one.md", "one.tex", "report.html",
        "still.png", "still.svg",
    ]  # fmt: skip
    assert (out / "tables" / "one.csv").read_text() == "name,n\na <b>,1\nc,2\n"
    html = page.read_text("utf-8")
    assert "<dt>a key</dt><dd>a value</dd>" in html
    assert "x: &lt;1&gt;" in html
    assert "<td>a &lt;b&gt;</td>" in html
    assert '<td class="right">1</td>' in html
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["an out"]


def test_a_place_that_holds_something_else_is_refused(tmp_path):
    file = tmp_path / "file"
    file.write_text("mine")
    with pytest.raises(ValueError, match=r"--out must be a directory, but .*file is a file"):
        check_place(file)
    folder = tmp_path / "folder"
    folder.mkdir()
    check_place(folder)
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="already holds something other than a report"):
        check_place(folder)
    (folder / "report.html").write_text("old")
    check_place(folder)
    check_place(tmp_path / "new")


def test_a_page_is_written_over_an_earlier_one_and_over_nothing_else(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="already holds something other than a report"):
        write_page(page_of(), tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]
    first = write_page(page_of(title="first"), tmp_path / "out")
    (tmp_path / "out" / "tables" / "old.csv").write_text("old")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    assert write_page(page_of(title="second"), tmp_path / "out") == first
    assert "<h1>second</h1>" in first.read_text("utf-8")
    assert sorted(path.name for path in (tmp_path / "out").rglob("*")) == [
        "figures", "notes.txt", "report.html", "tables",
    ]  # fmt: skip


def test_the_tables_and_figures_of_a_page_are_those_of_all_its_sections(still, chart):
    blocks = (Block(kind="beside", figures=(still, chart)), *tables_of([table("one")]))
    page = page_of(
        Section(id="a", title="A", blocks=blocks),
        Section(id="b", title="B", blocks=(*tables_of([table("two")]), *figures_of([chart]))),
    )
    assert [one.name for one in page.tables] == ["one", "two"]
    assert [one.drawing.name for one in page.figures] == ["still", "charted", "charted"]
    assert replace(page, sections=()).sections == ()


def test_a_page_is_written_into_folders_that_do_not_exist_yet(tmp_path):
    page = write_page(page_of(), tmp_path / "a" / "b" / "out")
    assert page.is_file()


def test_a_still_figure_on_the_page_is_its_svg_element_alone(still):
    assert still.svg.startswith("<?xml")
    assert embed(still).startswith('<div class="still"><svg ')
    assert embed(still).endswith("</svg>\n</div>")


def test_a_chart_with_a_number_that_json_lacks_is_refused():
    panel = Panel(x=Axis(label="x", limits=(0.0, np.nan)), y=Axis(label="y"), layers=())
    drawn = charted(name="c", title="C", caption="c.", chart=Chart(panels=(panel,)))
    with pytest.raises(ValueError, match="JSON"):
        embed(pages.Drawn(drawing=drawn, svg="", png=b""))
