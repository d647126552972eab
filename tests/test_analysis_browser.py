"""The report in a real browser: nothing complains, tables sort and filter, charts draw."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from analysis.drawing.chart import Axis, Chart, Layer, Panel
from analysis.drawing.drawing import charted, render
from analysis.rendering.page import Page, Section, figures_of, write_page
from analysis.report import report
from analysis.run.run_data import read_run
from tests.support.big_run import write_big_run
from tests.support.browser import PROGRAM, Browser
from tests.support.run_factory import Factory

pytestmark = [
    pytest.mark.long,
    pytest.mark.skipif(not PROGRAM, reason="no Chromium here; apt-get install chromium"),
]
WIDTHS = {"wide": 1400, "narrow": 420}


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    place = tmp_path_factory.mktemp("runs")
    run = read_run(Factory().write(place / "small", place / "data"))
    return report.write_report(run, place / "report", lambda _: None).page


@pytest.fixture
def browser(tmp_path):
    with Browser(tmp_path / "profile") as opened:
        opened.look()
        yield opened


def draw_all(browser) -> int:
    """Make every chart draw, as scrolling by all of them would; return how many there are."""
    browser.run("document.querySelectorAll('details').forEach(one => { one.open = true; })")
    browser.run("document.querySelectorAll('.chart').forEach(one => one.scrollIntoView())")
    browser.run(
        """(async () => {
          for (const chart of document.querySelectorAll(".chart")) {
            chart.scrollIntoView();
            while (!chart.dataset.drawn) await new Promise(requestAnimationFrame);
          }
        })()"""
    )
    return browser.run("document.querySelectorAll('.chart').length")


INKED = """[...document.querySelectorAll(".chart .base")].filter(canvas => {
  const pixels = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data;
  let inked = 0;
  for (let i = 3; i < pixels.length; i += 4) inked += pixels[i] > 0;
  return inked > 500;
}).length"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", WIDTHS)
def test_the_page_opens_without_a_complaint_and_draws_every_chart(browser, page, width, scheme):
    browser.look(width=WIDTHS[width], scheme=scheme)
    browser.open(page)
    assert draw_all(browser) > 20
    assert browser.run(INKED) == browser.run("document.querySelectorAll('.chart .base').length")
    assert browser.complaints == []
    assert all(url.startswith(("file:", "data:")) for url in browser.requests)
    assert browser.run("document.documentElement.scrollWidth") <= WIDTHS[width]


BODY = "document.querySelector('#trials ~ .table tbody')"
"""The rows of the first table of single trials."""
COLUMN = f"[...{BODY}.rows].map(row => row.cells[{{}}].textContent)"


def test_a_table_sorts_up_and_down_by_numbers_with_missing_ones_last(browser, page):
    browser.open(page)
    place = browser.run(
        """(() => {
          const heads = [...document.querySelectorAll("#trials ~ .table th")];
          const head = heads.find(one => one.textContent === "accuracy");
          head.querySelector("button").click();
          return head.cellIndex;
        })()"""
    )
    up = browser.run(COLUMN.format(place))
    known = [float(text) for text in up if text != "–"]
    assert known == sorted(known)
    assert up[-1] == "–"
    browser.run(f"document.querySelectorAll('#trials ~ .table th button')[{place}].click()")
    down = browser.run(COLUMN.format(place))
    assert [float(text) for text in down if text != "–"] == known[::-1]
    assert down[-1] == "–"


def test_a_table_shows_the_rows_with_the_words_asked_for(browser, page):
    browser.open(page)
    rows = browser.run(
        """[...document.querySelector("#trials ~ .table table").tBodies[0].rows].map(
          row => [row.cells[0].textContent, row.textContent])"""
    )
    stopped = [name for name, text in rows if "K5" in name and "stopped" in text]
    assert 0 < len(stopped) < sum("K5" in name for name, _ in rows)
    browser.run(
        """(() => {
          const field = document.querySelector("#trials ~ .table input");
          field.value = "k5 stopped";
          field.dispatchEvent(new Event("input"));
        })()"""
    )
    assert browser.run(COLUMN.format(0)) == stopped
    told = browser.run("document.querySelector('#trials ~ .table output').textContent")
    assert told == f"{len(stopped)} of 16 rows"


def middle(browser, selector: str) -> tuple[float, float]:
    box = browser.run(
        f"""(() => {{
          const one = document.querySelector({selector!r});
          one.scrollIntoView({{block: "center", behavior: "instant"}});
          const box = one.getBoundingClientRect();
          return [box.left + box.width / 2, box.top + box.height / 2, box.width, box.height];
        }})()"""
    )
    return box[0], box[1]


def test_pointing_names_a_trial_and_dragging_zooms(browser, page):
    browser.open(page)
    chart = ".chart[data-title^='Learning curves of all']"
    browser.run(f"document.querySelector({chart!r}).scrollIntoView({{behavior: 'instant'}})")
    browser.wait(f"document.querySelector({chart!r}).dataset.drawn === 'yes'")
    x, y = middle(browser, f"{chart} .over")
    told = f"document.querySelector({chart!r} + ' .tip:not([hidden]) b')?.textContent"
    for step in range(-60, 60, 4):
        browser.mouse("mouseMoved", x, y + step)
        if browser.run(told):
            break
    assert ", trial " in browser.run(told)
    zoomed = f"document.querySelector({chart!r} + ' [data-zoomed]') !== null"
    browser.drag((x - 60, y - 60), (x + 60, y + 60))
    assert browser.run(zoomed)
    browser.run(f"document.querySelector({chart!r} + ' .back').click()")
    assert not browser.run(zoomed)
    assert browser.complaints == []


def page_of(*panels: Panel) -> Page:
    charts = [Chart(panels=(panel,), panel_size=(2.4, 2.4)) for panel in panels]
    drawn = [
        render(charted(name=f"chart_{place}", title=f"Chart {place}", caption="", chart=chart))
        for place, chart in enumerate(charts)
    ]
    section = Section(id="some", title="Some", blocks=figures_of(drawn))
    facts = {"tiles": {}, "found": (), "unknown": (), "trials": {}}
    return Page(title="a", subtitle="b", sections=(section,), **facts)


def test_tick_labels_below_an_axis_do_not_touch(browser, tmp_path):
    panels = [
        Panel(
            x=Axis(label="x", log=log),
            y=Axis(label="y"),
            layers=(Layer(kind="points", x=np.array(ends), y=np.array([1.0, 2.0])),),
        )
        for ends in [(180_000, 620_000), (20_000, 700_000), (1e5, 4e8), (3.5, 28.1), (1e-5, 0.1)]
        for log in (False, True)
    ]
    browser.open(write_page(page_of(*panels), tmp_path / "report"))
    browser.run(
        """(() => {
          window.texts = [];
          const fill = CanvasRenderingContext2D.prototype.fillText;
          CanvasRenderingContext2D.prototype.fillText = function (text, x, y, ...rest) {
            const { a, e, f, b } = this.getTransform(), half = this.measureText(text).width / 2;
            if (this.textAlign === "center" && this.textBaseline === "top" && !b)
              texts.push([this.canvas.ariaLabel, f / a + y, e / a + x - half, e / a + x + half]);
            return fill.call(this, text, x, y, ...rest);
          };
        })()"""
    )
    draw_all(browser)
    browser.run("document.getElementById('theme').click()")  # All are drawn again.
    rows = {}
    for chart, y, left, right in browser.run("texts"):
        rows.setdefault((chart, round(y)), set()).add((left, right))
    assert len(rows) == len(panels)
    for row in rows.values():
        labels = sorted(row)
        gaps = [right[0] - left[1] for left, right in itertools.pairwise(labels)]
        assert all(gap > 2 for gap in gaps)


def test_the_theme_button_turns_the_page_over(browser, page):
    browser.open(page)
    paper = "getComputedStyle(document.body).backgroundColor"
    before = browser.run(paper)
    browser.run("document.getElementById('theme').click()")
    assert browser.run(paper) != before


def test_a_printed_page_has_every_chart_in_light_colours(browser, page):
    browser.look(scheme="dark")
    browser.open(page)
    browser.run("window.dispatchEvent(new Event('beforeprint'))")
    assert browser.run("[...document.querySelectorAll('.chart')].every(one => one.dataset.drawn)")
    assert browser.run("document.documentElement.dataset.theme") == "light"
    browser.run("window.dispatchEvent(new Event('afterprint'))")
    assert browser.run("document.documentElement.dataset.theme") is None


def test_thousands_of_trials_come_as_one_scrolls(browser, tmp_path):
    run = read_run(write_big_run(tmp_path / "run", trials=1500, epochs=40, pictures=400))
    page = report.write_report(run, tmp_path / "report", lambda _: None).page
    browser.open(page)
    rows = f"{BODY}.rows.length"
    assert browser.run(rows) == 100
    browser.run("document.querySelector('#trials ~ .table .scroll').scrollTop = 1e6")
    browser.wait(f"{rows} === 200")
    browser.run("document.querySelector('#trials ~ .table th button').click()")
    assert browser.run(rows) == 100
    draw_all(browser)
    assert browser.complaints == []
