"""What matplotlib draws of a chart: every mark in its place, every axis as it is told."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from matplotlib.collections import LineCollection, PathCollection, QuadMesh
from matplotlib.colors import to_hex, to_rgba
from matplotlib.ticker import NullFormatter

from analysis.drawing.chart import Axis, Chart, Layer, Panel, Parallel
from analysis.drawing.plot import number_text, plot
from analysis.drawing.style import GREEN, ORANGE, PAPER

POINTS = Layer(kind="points", x=np.array([1.0, 2.0]), y=np.array([5.0, 7.0]), label="some")
X, Y = Axis(label="epoch"), Axis(label="accuracy, %")


def axes_of(*layers, x=X, y=Y, **settings):
    return plot(Chart(panels=(Panel(x=x, y=y, layers=layers, **settings),))).axes[0]


def collections(axes, kind):
    return [one for one in axes.collections if isinstance(one, kind)]


def segments(axes):
    """The ends of all lines that are drawn as collections."""
    return [
        part.tolist() for one in collections(axes, LineCollection) for part in one.get_segments()
    ]


def test_points_stand_where_they_are_with_their_look():
    axes = axes_of(replace(POINTS, colour=GREEN, size=4.0, alpha=0.5))
    (points,) = collections(axes, PathCollection)
    assert points.get_offsets().tolist() == [[1, 5], [2, 7]]
    assert points.get_sizes().tolist() == [16]
    assert to_hex(points.get_facecolors()[0]) == to_hex(GREEN)
    assert points.get_alpha() == 0.5
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("epoch", "accuracy, %")


@pytest.mark.parametrize("log", [False, True])
@pytest.mark.parametrize("ends", [(180_000, 620_000), (20_000, 700_000), (1e5, 4e8), (3.5, 28.1)])
@pytest.mark.parametrize("width", [2.4, 4.4])
def test_tick_labels_do_not_run_together(ends, log, width):
    layer = Layer(kind="points", x=np.array(ends), y=np.array([5.0, 7.0]))
    panel = Panel(x=Axis(label="trainable parameters", log=log), y=Y, layers=(layer,))
    figure = plot(Chart(panels=(panel, panel), panel_size=(width, 3.3)))
    figure.draw_without_rendering()
    for axes in figure.axes:
        low, high = axes.get_xlim()
        labels = [
            label.get_window_extent()
            for place, label in zip(axes.get_xticks(), axes.get_xticklabels(), strict=True)
            if low <= place <= high and label.get_text()
        ]
        assert labels
        gaps = [right.x0 - left.x1 for left, right in itertools.pairwise(labels)]
        assert all(gap > 2 for gap in gaps)


def test_hollow_points_are_filled_with_paper():
    (points,) = collections(axes_of(replace(POINTS, hollow=True)), PathCollection)
    assert to_hex(points.get_facecolors()[0]) == to_hex(PAPER)
    assert to_hex(points.get_edgecolors()[0]) == to_hex(POINTS.colour)


def test_points_with_values_are_coloured_by_them_and_a_bar_tells_what_they_mean():
    layer = replace(POINTS, values=np.array([50.0, 60.0]))
    axes = axes_of(layer, value_label="share, %", value_limits=(40.0, 60.0))
    (points,) = collections(axes, PathCollection)
    assert points.get_array().tolist() == [50, 60]
    assert (points.norm.vmin, points.norm.vmax) == (40, 60)
    bar = axes.figure.axes[1]
    assert bar.get_ylabel() == "share, %"
    assert bar.get_ylim() == (40, 60)


def test_whiskers_of_points_stand_upright_and_those_of_intervals_lie():
    ends = {"low": np.array([4.0, 6.0]), "high": np.array([5.5, 8.0])}
    upright = segments(axes_of(replace(POINTS, **ends)))
    assert upright == [[[1, 4], [1, 5.5]], [[2, 6], [2, 8]]]
    lying = axes_of(replace(POINTS, kind="intervals", **ends))
    assert segments(lying) == [[[4, 5], [5.5, 5]], [[6, 7], [8, 7]]]
    assert collections(lying, PathCollection)[0].get_offsets().tolist() == [[1, 5], [2, 7]]


def test_means_are_bars_across_their_place_with_whiskers():
    layer = replace(POINTS, kind="means", low=np.array([4.0, 6.0]), high=np.array([5.5, 8.0]))
    found = segments(axes_of(layer))
    assert found[:2] == [
        [[pytest.approx(0.67), 5], [pytest.approx(1.33), 5]],
        [[pytest.approx(1.67), 7], [pytest.approx(2.33), 7]],
    ]
    assert found[2:] == [[[1, 4], [1, 5.5]], [[2, 6], [2, 8]]]


def test_a_band_is_a_line_in_the_area_between_its_ends():
    ends = {"low": np.array([4.0, 6.0]), "high": np.array([5.5, 8.0])}
    axes = axes_of(replace(POINTS, kind="band", marker="", **ends))
    (line,) = axes.lines
    assert line.get_xydata().tolist() == [[1, 5], [2, 7]]
    (area,) = axes.collections
    corners = {tuple(corner) for corner in area.get_paths()[0].vertices.tolist()}
    assert {(1, 4), (2, 6), (2, 8), (1, 5.5)} <= corners
    assert not axes_of(replace(POINTS, kind="band", marker="")).collections


def test_steps_hold_a_value_until_the_next_and_lines_do_not():
    (steps,) = axes_of(replace(POINTS, kind="steps", marker="", dash="--")).lines
    assert steps.get_drawstyle() == "steps-post"
    assert steps.get_linestyle() == "--"
    axes = axes_of(replace(POINTS, kind="line"))
    (line,) = axes.lines
    assert line.get_drawstyle() == "default"
    assert line.get_xdata().tolist() == [1, 2]
    assert len(collections(axes, PathCollection)) == 1


def test_each_curve_has_its_own_points_and_a_mark_at_its_end():
    layer = Layer(
        kind="curves",
        x=np.array([1.0, 2, 3, 1, 2]),
        y=np.array([5.0, 6, 7, 1, 2]),
        starts=np.array([0, 3]),
        alpha=0.85,
    )
    axes = axes_of(layer)
    assert segments(axes) == [[[1, 5], [2, 6], [3, 7]], [[1, 1], [2, 2]]]
    assert collections(axes, PathCollection)[0].get_offsets().tolist() == [[3, 7], [2, 2]]
    assert collections(axes, LineCollection)[0].get_alpha() == 0.85
    assert not collections(axes_of(replace(layer, marker="")), PathCollection)


def test_many_curves_are_drawn_faint_and_as_pixels():
    def curves(count):
        x = np.arange(count, dtype=float)
        layer = Layer(kind="curves", x=x, y=x, starts=np.arange(count), marker="")
        return collections(axes_of(layer), LineCollection)[0]

    assert (curves(400).get_alpha(), curves(400).get_rasterized()) == (1.0, False)
    assert (curves(800).get_alpha(), curves(800).get_rasterized()) == (0.1, True)


def test_cells_stand_in_their_column_and_row_with_their_text():
    layer = Layer(
        kind="cells",
        x=np.array([0.0, 2.0]),
        y=np.array([1.0, 0.0]),
        values=np.array([50.0, 60.0]),
        texts=("a", "b"),
    )
    names = Axis(label="x", names=("p", "q", "r")), Axis(label="y", names=("u", "v"))
    axes = axes_of(layer, x=names[0], y=names[1], value_label="share", value_limits=(50.0, 60.0))
    (mesh,) = collections(axes, QuadMesh)
    assert mesh.get_array().tolist() == [[None, None, 60], [50, None, None]]
    assert (mesh.norm.vmin, mesh.norm.vmax) == (50, 60)
    corners = mesh.get_coordinates()
    assert corners[0, 0].tolist() == [-0.5, -0.5], "a cell lies around its position"
    assert corners[-1, -1].tolist() == [2.5, 1.5]
    assert [text.get_color() for text in axes.texts] == ["#ffffff", "#000000"], "dark and light"
    assert {(*text.get_position(), text.get_text()) for text in axes.texts} == {
        (0, 1, "a"),
        (2, 0, "b"),
    }
    assert [text.get_text() for text in axes.get_xticklabels()] == ["p", "q", "r"]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["u", "v"]
    assert len(axes.figure.axes) == 1  # the cells tell their values themselves


def test_rules_are_dotted_lines_across_the_panel():
    axes = axes_of(Layer(kind="rules", x=np.array([3.0, 6.0]), y=np.zeros(2)))
    assert [line.get_xdata() for line in axes.lines] == [[3, 3], [6, 6]]
    assert {line.get_linestyle() for line in axes.lines} == {":"}


def test_axes_are_logarithmic_limited_and_turned_as_they_are_told():
    axes = axes_of(POINTS, x=replace(X, log=True), y=replace(Y, limits=(0.0, 9.0)))
    assert (axes.get_xscale(), axes.get_yscale()) == ("log", "linear")
    assert axes.get_ylim() == (0, 9)
    assert not axes.yaxis_inverted()
    turned = axes_of(POINTS, y=replace(Y, names=("a", "b", "c"), reversed=True))
    assert turned.yaxis_inverted()
    assert turned.get_ylim() == (2.5, -0.5)
    assert [text.get_text() for text in turned.get_yticklabels()] == ["a", "b", "c"]


def test_whole_numbers_have_whole_ticks():
    ticks = axes_of(POINTS, x=replace(X, whole=True)).get_xticks()
    assert all(float(tick).is_integer() for tick in ticks)


def test_numbers_at_ticks_are_short_on_both_axes_and_names_stand_instead_of_them():
    wide = replace(POINTS, x=np.array([100_000.0, 500_000.0]), y=np.array([1e6, 5e6]))
    axes = axes_of(wide)
    axes.figure.draw_without_rendering()
    assert "200,000" in [text.get_text() for text in axes.get_xticklabels()]
    assert "2 M" in [text.get_text() for text in axes.get_yticklabels()]
    named = axes_of(POINTS, x=replace(X, names=("a", "b", "c")))
    named.figure.draw_without_rendering()
    assert [text.get_text() for text in named.get_xticklabels()] == ["a", "b", "c"]
    assert named.get_xlim() == (-0.5, 2.5)


def test_a_logarithmic_axis_of_few_decades_has_ticks_between_its_powers_of_ten():
    def ticks(most):
        layer = replace(POINTS, x=np.array([1.0, most]), y=np.array([1.0, most]))
        axes = axes_of(layer, x=replace(X, log=True), y=replace(Y, log=True))
        return [
            [float(f"{tick:g}") for tick in found if 1 <= tick <= most]
            for found in (axes.get_xticks(), axes.get_yticks())
        ]

    assert ticks(10.0) == [[1, 2, 5, 10]] * 2
    assert ticks(1e4)[0] == [1, 10, 100, 1000, 1e4]


KINDS = ("points", "line", "band", "steps", "means", "intervals", "curves", "rules")


@pytest.mark.parametrize("kind", KINDS)
def test_every_mark_and_its_legend_entry_have_the_colour_of_their_layer(kind):
    ends = {"low": np.array([4.0, 6.0]), "high": np.array([5.5, 8.0])}
    layer = replace(POINTS, kind=kind, colour=GREEN, starts=np.array([0]), **ends)
    axes = axes_of(layer)
    found = {to_hex(line.get_color()) for line in axes.lines}
    for each in axes.collections:
        colours = each.get_facecolors() if len(each.get_facecolors()) else each.get_edgecolors()
        found |= {to_hex(colour) for colour in colours}
    assert found == {to_hex(GREEN)}
    (legend,) = axes.figure.legends
    (entry,) = legend.get_lines()
    assert to_hex(entry.get_color()) == to_hex(GREEN)
    assert (entry.get_linestyle() == "None") == (kind == "points")
    (crossed,) = collections(axes_of(replace(POINTS, marker="X", colour=GREEN)), PathCollection)
    assert to_hex(crossed.get_facecolors()[0]) == to_hex(GREEN)


def test_of_two_layers_with_one_label_the_legend_shows_the_first():
    (legend,) = axes_of(replace(POINTS, colour=GREEN), POINTS).figure.legends
    assert [to_hex(line.get_color()) for line in legend.get_lines()] == [to_hex(GREEN)]


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1e-4, "0.0001"),
        (5e-5, "5e-05"),
        (3 * 1e-5, "3e-05"),
        (0.3 - 0.1, "0.2"),
        (0.0, "0"),
        (60.0, "60"),
        (0.25, "0.25"),
        (250_000.0, "250,000"),
        (999_999.0, "999,999"),
        (1_000_000.0, "1 M"),
        (-2_500_000.0, "-2.5 M"),
    ],
)
def test_numbers_at_ticks_are_short(value, text):
    assert number_text(value) == text


def test_panels_fill_rows_evenly_and_one_legend_tells_each_label_once():
    panel = Panel(x=X, y=Y, layers=(POINTS, replace(POINTS, label="", colour=ORANGE)))
    figure = plot(Chart(panels=(panel,) * 5, columns=4, panel_size=(2.0, 3.0), legend_title="what"))
    assert len(figure.axes) == 5
    assert figure.get_size_inches().tolist() == [6, 6]  # three columns, two rows
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == ["some"]
    assert legend.get_title().get_text() == "what"
    assert not plot(Chart(panels=(replace(panel, layers=panel.layers[1:]),))).legends


def test_the_legend_shows_a_line_only_for_what_is_a_line():
    layers = (
        POINTS,
        replace(POINTS, kind="line", label="line", dash="--", hollow=True),
        replace(POINTS, kind="means", label="mean"),
        replace(POINTS, kind="rules", label="rung"),
    )
    (legend,) = axes_of(*layers).figure.legends
    looks = {one.get_label(): (one.get_linestyle(), one.get_marker()) for one in legend.get_lines()}
    assert looks == {
        "some": ("None", "o"),
        "line": ("--", "o"),
        "mean": ("-", ""),
        "rung": (":", ""),
    }
    hollow = next(one for one in legend.get_lines() if one.get_label() == "line")
    assert to_hex(hollow.get_markerfacecolor()) == to_hex(PAPER)


def test_parallel_lines_run_through_their_places_the_best_on_top():
    chart = Parallel(
        labels=("kernel size", "accuracy"),
        ticks=(((0.0, "3"), (1.0, "5")), ((0.0, "50"), (1.0, "60"))),
        places=np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 0.5]]),
        values=np.array([60.0, 50.0, 55.0]),
        value_label="share, %",
        value_limits=(50.0, 60.0),
        trials=np.array([4, 2, 3]),
    )
    axes = plot(chart).axes[0]
    lines = collections(axes, LineCollection)[0]
    drawn = [part.tolist() for part in lines.get_segments()]
    assert drawn == [[[0, 1], [1, 0]], [[0, 0.5], [1, 0.5]], [[0, 0], [1, 1]]]
    ends = [to_rgba(one) for one in lines.get_colors()]
    assert sum(ends[0][:3]) < sum(ends[2][:3])  # the map gets lighter
    assert [(*text.get_position(), text.get_text()) for text in axes.texts] == [
        (0, 0, "3"),
        (0, 1, "5"),
        (1, 0, "50"),
        (1, 1, "60"),
    ]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["kernel\nsize", "accuracy"]
    bar = axes.figure.axes[1]
    assert (bar.get_ylabel(), bar.get_ylim()) == ("share, %", (50, 60))
    uprights = collections(axes, LineCollection)[1].get_segments()
    assert [part.tolist() for part in uprights] == [[[0, 0], [0, 1]], [[1, 0], [1, 1]]]
    assert axes.get_xlim() == (-0.5, 1.5)


def test_many_points_and_lines_are_drawn_as_pixels():
    def points(count):
        x = np.arange(count, dtype=float)
        return collections(axes_of(Layer(kind="points", x=x, y=x)), PathCollection)[0]

    def lines(count):
        chart = Parallel(
            labels=("a", "b"),
            ticks=((), ()),
            places=np.zeros((count, 2)),
            values=np.arange(count, dtype=float),
            value_label="share",
            value_limits=(0.0, 1.0),
            trials=np.arange(count),
        )
        return collections(plot(chart).axes[0], LineCollection)[0]

    for count, many in ((400, False), (401, True)):
        assert points(count).get_rasterized() == many
        assert lines(count).get_rasterized() == many
        assert lines(count).get_alpha() == (0.35 if many else 0.85)


def test_a_legend_of_more_than_four_entries_has_three_columns():
    def columns(count):
        layers = [replace(POINTS, label=f"layer {place}") for place in range(count)]
        return axes_of(*layers).figure.legends[0]._ncols

    assert (columns(4), columns(5)) == (4, 3)


def test_numbers_on_the_x_axis_have_a_grid_and_names_have_none():
    def has_grid(**settings):
        return axes_of(POINTS, x=replace(X, **settings)).xaxis.get_gridlines()[0].get_visible()

    assert has_grid()
    assert not has_grid(names=("a", "b", "c"))


def test_small_ticks_of_a_logarithmic_axis_have_no_text():
    axes = axes_of(POINTS, x=replace(X, log=True), y=replace(Y, log=True))
    assert isinstance(axes.xaxis.get_minor_formatter(), NullFormatter)
    assert isinstance(axes.yaxis.get_minor_formatter(), NullFormatter)


def test_a_cell_of_three_lines_has_smaller_letters():
    layer = replace(
        POINTS, kind="cells", x=np.array([0.0, 1.0]), y=np.zeros(2), label="",
        values=np.array([5.0, 7.0]), texts=("5 %\nn = 2", "7 %\n6 to 8 %\nn = 3"),
    )  # fmt: skip
    axes = axes_of(layer, x=replace(X, names=("a", "b")), y=replace(Y, names=("c",)))
    assert [text.get_fontsize() for text in axes.texts] == [8, 7]


def test_a_panel_shows_the_whole_of_curves_without_a_mark():
    x = np.array([3.0, 9.0])
    layer = Layer(kind="curves", x=x, y=10 * x, starts=np.array([0]), marker="")
    axes = axes_of(layer)
    for (low, high), values in ((axes.get_xlim(), x), (axes.get_ylim(), 10 * x)):
        assert low <= values[0] < values[1] <= high
        assert high - low < 1.2 * (values[1] - values[0])


@pytest.mark.parametrize(("count", "width"), [(2, 5.2), (8, 11.2)])
def test_parallel_coordinates_grow_with_their_axes_whose_labels_break_once(count, width):
    labels = tuple(f"width of part {place}" for place in range(count))
    chart = Parallel(
        labels=labels, ticks=((),) * count, places=np.zeros((3, count)), values=np.arange(3.0),
        value_label="share", value_limits=(0.0, 2.0), trials=np.arange(3),
    )  # fmt: skip
    figure = plot(chart)
    assert figure.get_size_inches()[0] == pytest.approx(width)
    axes = figure.axes[0]
    assert axes.get_xticklabels()[1].get_text() == "width\nof part 1"
    low, high = axes.get_ylim()
    assert low < 0 < 1 < high
