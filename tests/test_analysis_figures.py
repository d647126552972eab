import base64
import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from io import BytesIO
from itertools import combinations

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from analysis.classes import figure as confusion
from analysis.comparisons import figure as comparisons
from analysis.cost import figure as cost
from analysis.curves import figure as curves
from analysis.curves import progress_figure as progress
from analysis.dataset import mistakes_figure as mistakes
from analysis.dataset.dataset import read_rows
from analysis.dataset.figure import dataset_figures
from analysis.drawing import style
from analysis.drawing.chart import Axis, Chart, Layer, Panel, float_array, to_plain
from analysis.drawing.drawing import file_stem, render
from analysis.drawing.plot import plot
from analysis.drawing.style import BLUE, MUTED, ORANGE, VERMILION
from analysis.effects import figure as effects
from analysis.effects import pairs_figure as pairs
from analysis.effects import parallel_figure as parallel
from analysis.effects.design import MATTERS
from analysis.effects.early import early_warning
from analysis.effects.statistics import level_means
from analysis.folds import figure as folds
from analysis.groups import figure as groups
from analysis.rendering.table import Table
from analysis.report.figures import FIGURES
from analysis.run.dataset import DatasetLeftOutError, find_dataset
from analysis.run.metric import Metric
from analysis.run.run_data import read_confusion, read_probabilities, read_run
from analysis.run.trials import incumbent
from fairsweep.drawing import class_counts, pixel_values
from fairsweep.drawing.training_pictures import read_training_pictures
from tests.support.discs import CLASSES, IMAGE_SHAPE
from tests.support.hand_made import hand_made
from tests.support.run_factory import Factory, by

ACCURACY = Metric(name="val_accuracy", sign=1, is_share=True)


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    return read_run(Factory().write(place / "small", place / "data"))


def training_pictures(dataset, samples):
    file = dataset.path / "images.parquet"
    return read_training_pictures(file, dataset.classes, dataset.pixel_shape, samples)


def drawn_names(drawings):
    return [drawing.name for drawing in drawings]


@pytest.mark.parametrize("section", sorted(set(FIGURES) - {"folds", "confused_pairs"}))
def test_each_kind_of_figure_draws_as_svg_and_png(run, section):
    drawing = next(FIGURES[section](run))
    drawn = render(drawing)
    assert ET.fromstring(drawn.svg).tag.endswith("svg")
    assert Image.open(BytesIO(drawn.png)).size[0] > 500
    assert drawing.caption.endswith(".")


def test_the_same_data_draw_the_same_bytes(run):
    first, second = (render(next(curves.overview(run))) for _ in range(2))
    assert first.svg == second.svg
    assert first.png == second.png


def test_there_is_a_figure_for_each_pair_of_untied_hyperparameters(run):
    names = drawn_names(pairs.pairs(run))
    assert len(names) == 6
    assert "accuracy_by_kernel_size_and_channels" in names
    assert not any("fc_layers" in name for name in names)


def test_pairs_that_matter_come_first_and_the_others_are_set_aside(run, monkeypatch):
    names = ["kernel_size", "blocks", "channels", "conv_depth"]
    among = list(combinations(names, 2))
    terms = [*names, *map(" × ".join, among)]

    def chosen(shown, **shares):
        frame = pd.DataFrame({"term": terms}).assign(
            share=lambda rows: rows["term"].map(shares).fillna(0.01),
            verdict=lambda rows: rows["term"].map(lambda term: MATTERS if term in shown else ""),
        )
        monkeypatch.setattr(pairs, "known_effects", lambda _: frame)
        return pairs.mattering(run, among)[0]

    assert chosen({"blocks", "channels"}) == [("blocks", "channels")]
    assert chosen({"kernel_size × channels"}) == [("kernel_size", "channels")]
    assert chosen({"kernel_size"}, channels=0.5, blocks=0.2) == [("blocks", "channels")]
    everything = chosen(set(names), conv_depth=0.5, kernel_size=0.3)
    assert len(everything) == pairs.MOST_SHOWN
    assert everything[0] == ("kernel_size", "conv_depth")
    several = [drawing.aside for drawing in pairs.pairs(run)]
    assert several == [False] * pairs.MOST_SHOWN + [True] * 2
    chosen({"blocks", "channels"})
    drawings = list(pairs.pairs(run))
    assert [drawing.aside for drawing in drawings] == [False] + 5 * [True]
    assert drawings[0].name == "accuracy_by_blocks_and_channels"
    monkeypatch.setattr(pairs, "known_effects", lambda _: None)
    assert pairs.mattering(run, among) == (among[:1], among[1:])


def test_of_very_many_pairs_those_that_explain_least_have_no_figure(run, monkeypatch):
    terms = ["kernel_size", "blocks", "channels", "conv_depth"]
    shares = dict(zip(terms, [0.0, 0.1, 0.2, 0.4], strict=True))
    frame = pd.DataFrame({"term": terms, "verdict": "", "share": list(shares.values())})
    monkeypatch.setattr(pairs, "known_effects", lambda _: frame)
    every = list(pairs.pairs(run))
    assert not any("have no figure" in drawing.caption for drawing in every)
    monkeypatch.setattr(pairs, "MOST_DRAWN", 4)
    few = list(pairs.pairs(run))
    assert [drawing.name for drawing in few] == [drawing.name for drawing in every[:4]]
    assert [drawing.name.removeprefix("accuracy_by_") for drawing in few] == [
        "channels_and_conv_depth", "blocks_and_conv_depth", "kernel_size_and_conv_depth",
        "blocks_and_channels",
    ]  # fmt: skip
    assert few[-1].caption == (every[3].caption + " 2 pairs that explain less have no figure.")
    assert not any("have no figure" in drawing.caption for drawing in few[:-1])


def test_cells_of_a_pair_have_the_intervals_of_their_means(run):
    drawing, *others = pairs.pairs(run)
    assert drawing.name == "accuracy_by_kernel_size_and_conv_depth"
    assert "Intervals: 95 %" in drawing.caption
    assert not any("Intervals" in other.caption for other in others)  # set aside
    heat, points = drawing.chart.panels
    (cells,) = heat.layers
    early = effects.prepare(run)
    joined = early["kernel_size"].astype(str) + "/" + early["conv_depth"].astype(str)
    ids = run.trials.set_index("number")["trial_id"].loc[early["number"]]
    means = 100 * level_means(run, pd.Series(joined.to_numpy(), index=ids.to_numpy()))
    for x, y, value, text in zip(cells.x, cells.y, cells.values, cells.texts, strict=True):
        own = means.loc[f"{heat.y.names[int(y)]}/{heat.x.names[int(x)]}"]
        assert value == pytest.approx(own["mean"])
        assert text.split("\n")[1] == f"{own['low']:.1f} to {own['high']:.1f} %"
    lines = [layer for layer in points.layers if layer.kind == "line"]
    found = {(line.label, x): low for line in lines for x, low in enumerate(line.low)}
    assert found["5", 0] == pytest.approx(means.loc["5/1", "low"])
    assert heat.value_limits == (early["accuracy"].min(), early["accuracy"].max())


def test_cells_tell_how_many_trials_they_hold(run):
    cells = pairs.cell_means(effects.prepare(run), "kernel_size", "blocks")
    assert cells["trials"].sum() == len(run.comparable)


def test_cells_average_replicates_first():
    data = pd.DataFrame(
        {
            "a": [1, 1, 1, 2],
            "b": [1, 1, 1, 2],
            "configuration_id": ["x", "x", "y", "z"],
            "accuracy": [50.0, 60.0, 75.0, 40.0],
        }
    )
    assert pairs.cell_means(data, "a", "b")["mean"].tolist() == [65.0, 40.0]


def test_hyperparameters_that_never_vary_together_have_no_pair(run):
    only_small = run.trials.assign(channels=run.trials["channels"].where(run.trials["blocks"] == 2))
    names = drawn_names(pairs.pairs(replace(run, trials=only_small)))
    assert "accuracy_by_blocks_and_channels" not in names
    assert "accuracy_by_kernel_size_and_channels" in names


def test_continuous_hyperparameters_are_drawn_as_numbers(run):
    rng = np.random.default_rng(0)
    varied = run.trials.assign(
        learning_rate=10 ** rng.uniform(-4, -1, len(run.trials)),
        weight_decay=rng.uniform(0, 0.1, len(run.trials)),
    )
    info = replace(run.info, searched=("kernel_size", "learning_rate", "weight_decay"))
    varied = replace(run, trials=varied, info=info)
    drawings = [*pairs.pairs(varied), *effects.effects(varied)]
    assert len(drawings) == 4
    assert all(render(drawing).png for drawing in drawings)


def test_models_of_their_own_are_at_most_twelve_and_the_best_first(run):
    shown = curves.best_models(run)
    assert len(shown) == curves.BEST_SHOWN
    assert shown[0]["best_val_accuracy"] == run.completed["best_val_accuracy"].max()
    assert len(drawn_names(curves.model_curves(run))) == curves.BEST_SHOWN


def test_curves_of_every_trial_with_measurements_are_in_the_overview(run):
    data = curves.prepare(run)
    assert data["number"].nunique() == len(run.trials) - 1  # one failed before its first epoch
    assert set(data["status"]) == {"COMPLETED", "EARLY_STOPPED", "DIVERGED"}
    drawing = next(curves.overview(run))
    assert f"{len(run.trials) - 1} trials" in drawing.caption
    assert "rungs" in drawing.caption
    accuracy = drawing.chart.panels[1]
    drawn = [layer for layer in accuracy.layers if layer.kind == "curves"]
    assert sum(len(layer.x) for layer in drawn) == len(run.measurements)
    assert sum(len(layer.trials) for layer in drawn) == len(run.trials) - 1
    assert next(layer for layer in accuracy.layers if layer.kind == "rules").x.tolist() == [3, 6]


def test_the_curve_of_the_incumbent_stands_out_of_the_others(run):
    best = incumbent(run)
    own = run.measurements[run.measurements["trial_id"] == best["trial_id"]]
    for panel in next(curves.overview(run)).chart.panels:
        line = panel.layers[-1]  # drawn last, on top
        assert (line.kind, line.label, set(line.trials)) == ("line", "incumbent", {best["number"]})
        others = {layer.colour for layer in panel.layers[:-1] if layer.kind == "curves"}
        assert line.colour not in others
        assert line.width > 2
    assert line.x.tolist() == own["epoch"].sort_values().tolist()
    assert line.y.tolist() == (100 * own.sort_values("epoch")["val_accuracy"]).tolist()
    axes = plot(next(curves.overview(run)).chart).axes[0]
    assert max(line.get_linewidth() for line in axes.get_lines()) == 3


def test_axes_say_at_which_epoch_trials_are_compared(run):
    axis = "validation accuracy by epoch 3, %"
    assert {panel.y.label for panel in next(effects.effects(run)).chart.panels} == {axis}
    assert next(parallel.parallel(run)).chart.labels[-1] == axis
    assert next(pairs.pairs(run)).chart.panels[1].y.label == axis
    label = next(cost.cost(run)).chart.panels[0].y.label
    assert label == "validation accuracy at the best epoch, %"
    last = replace(run, info=replace(run.info, objective={**run.info.objective, "at": "last"}))
    panel = next(effects.effects(last)).chart.panels[0]
    assert panel.y.label == "validation accuracy at epoch 3, %"


def test_an_early_comparison_and_trials_at_chance_are_a_warning(run):
    text = early_warning(run)
    assert "compared after 3 of 12 epochs" in text
    assert "largest class" not in text
    sizes = read_confusion(run, incumbent(run)["trial_id"]).sum(axis=1)
    share = sizes.max() / sizes.sum()
    at_chance = run.measurements.assign(val_accuracy=share)
    count = len(run.comparable)
    assert (
        f"{count} of {count} trials are not shown to be better there than always predicting the "
        f"largest class, '{CLASSES[sizes.argmax()]}' ({100 * share:.1f} %)"
    ) in early_warning(replace(run, measurements=at_chance))
    whole = replace(run, trials=run.completed)
    assert early_warning(whole) == ""


def test_half_of_the_epochs_is_not_early_and_half_of_the_trials_at_chance_are_many(run):
    half = replace(run, trials=run.comparable[run.comparable["epochs_trained"] >= 6])
    assert half.comparable["epochs_trained"].agg(["min", "max"]).tolist() == [6, 12]
    assert early_warning(half) == ""
    whole = replace(run, trials=run.completed.iloc[: 2 * (len(run.completed) // 2)])
    sizes = read_confusion(run, incumbent(run)["trial_id"]).sum(axis=1)
    ids = whole.trials["trial_id"].tolist()

    def at_chance(count):
        values = dict.fromkeys(ids, 1.0) | dict.fromkeys(ids[:count], sizes.max() / sizes.sum())
        told = run.measurements["trial_id"].map(values)
        return early_warning(
            replace(whole, measurements=run.measurements.assign(val_accuracy=told))
        )

    assert at_chance(len(ids) // 2).startswith(f"{len(ids) // 2} of {len(ids)} trials")
    assert at_chance(len(ids) // 2 - 1) == ""


def test_a_curve_ends_where_the_loss_is_no_number(run):
    loss = next(curves.overview(run)).chart.panels[0]
    diverged = next(layer for layer in loss.layers if layer.label.startswith("diverged"))
    assert diverged.x.tolist() == [1]  # NaN at its second epoch


def test_effects_have_the_intervals_of_the_statistics(run):
    chart = next(effects.effects(run)).chart
    means = effects.marginal_means(run).set_index(["hyperparameter", "level"])
    kernels = chart.panels[0].layers[-1]
    assert kernels.kind == "means"
    expected = 100 * means.loc["kernel_size"]
    assert kernels.y.tolist() == expected["mean"].tolist()
    assert kernels.low.tolist() == expected["low"].tolist()


def test_effects_without_replicates_have_no_interval_and_say_so(run):
    single = replace(run, trials=run.trials[run.trials["replicate"] == 0])
    drawing = next(effects.effects(single))
    assert drawing.chart.panels[0].layers[-1].low is None
    assert "no interval" in drawing.caption


def test_the_pareto_front_holds_what_nothing_beats():
    costs, gains = np.array([3.0, 1, 2, 2, 4]), np.array([0.9, 0.5, 0.7, 0.6, 0.9])
    front = cost.pareto(costs, gains)
    assert front.tolist() == [1, 2, 0]
    for one in set(range(5)) - set(front):
        assert any(costs[f] <= costs[one] and gains[f] >= gains[one] for f in front)


def test_the_front_is_of_completed_trials_alone(run):
    panel = next(cost.cost(run)).chart.panels[0]
    front = next(layer for layer in panel.layers if layer.label == "Pareto front")
    assert set(front.trials) <= set(run.completed["number"])


def test_the_best_so_far_ends_at_the_best_and_at_all_that_was_spent(run):
    data = progress.prepare(run)
    assert data["best"].iloc[-1] == pytest.approx(100 * run.measurements["val_accuracy"].max())
    assert data["best"].is_monotonic_increasing
    # An epoch takes 2 s. The two replicates of a finalist are fused on one device.
    devices = run.trials["replicate"].map(lambda replicate: 0.5 if replicate else 1.0)
    hours = (2.0 * devices * run.trials["epochs_trained"]).sum() / 3600
    assert data["device_hours"].iloc[-1] == pytest.approx(hours, rel=1e-9)


def test_for_an_objective_at_the_last_epoch_no_earlier_one_counts(run):
    objective = {**run.info.objective, "at": "last"}
    data = progress.prepare(replace(run, info=replace(run.info, objective=objective)))
    ends = data[data["ends"]]["value"]
    assert data["best"].iloc[-1] == ends.max()
    assert data["best"].iloc[0] != data["best"].iloc[0]  # nothing before a trial's end


def test_differences_carry_the_verdicts_of_the_statistics(run):
    drawing = next(comparisons.comparisons(run))
    compared = comparisons.against_incumbent(run)
    layers = [layer for layer in drawing.chart.panels[0].layers if layer.kind == "intervals"]
    assert {layer.label for layer in layers} == set(compared.frame["verdict"])
    shown = sorted(float(x) for layer in layers for x in layer.x)
    assert shown == pytest.approx(sorted(100 * compared.frame["difference"]))


def test_a_run_that_cannot_tell_chance_has_no_differences(run):
    single = run.trials[run.trials["replicate"] == 0].head(1)
    assert list(comparisons.comparisons(replace(run, trials=single))) == []


def test_parallel_coordinates_place_every_level(run):
    chart = next(parallel.parallel(run)).chart
    assert chart.places.shape == (len(run.comparable), 5)
    assert ((chart.places >= 0) & (chart.places <= 1)).all()
    kernel = run.comparable["kernel_size"].to_numpy(int)
    assert (chart.places[:, 0] > 0.5).tolist() == (kernel == 5).tolist()
    assert chart.ticks[0] == ((0.25, "3"), (0.75, "5"))


def test_parallel_lines_at_one_level_stand_apart_in_the_order_of_their_accuracy(run):
    chart = next(parallel.parallel(run)).chart
    for axis in range(4):
        assert len(set(chart.places[:, axis])) == len(run.comparable)
    of_five = chart.places[:, 0] > 0.5
    order = chart.places[of_five, 0].argsort()
    assert np.all(np.diff(chart.values[of_five][order]) >= 0)
    # Lines stand evenly about their level, on 0.7 of its half of the axis.
    for middle, own in ((0.25, ~of_five), (0.75, of_five)):
        steps = (np.arange(own.sum()) + 0.5) / own.sum() - 0.5
        assert np.sort(chart.places[own, 0]) == pytest.approx(middle + 0.35 * steps)


def test_mistakes_are_the_surest_wrong_answers_of_the_incumbent(run):
    best = run.completed.sort_values("best_val_accuracy").iloc[-1]
    predicted = read_probabilities(run, best["trial_id"])
    shown = mistakes.prepare(run, predicted)
    assert (shown["true"] != shown["given"]).all()
    assert set(shown["true"]) == set(CLASSES)
    for name, rows in shown.groupby("true"):
        label = CLASSES.index(name)
        wrong = predicted[(predicted["label"] == label) & (predicted["predicted"] != label)]
        surest = wrong["probability"].nlargest(mistakes.SHOWN)
        assert rows["probability"].tolist() == surest.tolist()
    count = len(predicted) - np.trace(read_confusion(run, best["trial_id"]))
    assert f"misclassifies {count} of 400" in next(mistakes.mistakes(run)).caption


def test_a_run_of_a_few_models_shows_the_mistakes_of_each(run, monkeypatch):
    few = replace(run, trials=run.completed.head(mistakes.FEW_MODELS))
    drawn = list(mistakes.mistakes(few))
    assert len({one.name for one in drawn}) == len(drawn) == mistakes.FEW_MODELS
    assert drawn[0].name == "mistakes"
    assert drawn[0].title.startswith("What the incumbent gets wrong: ")
    order = few.trials.sort_values("best_val_accuracy", ascending=False).iloc[1]
    assert drawn[1].title == f"{order['name']}, trial {order['number']}: mistakes"
    assert len(list(mistakes.mistakes(run))) == 1
    assert mistakes.FEW_CLASSES == 6
    monkeypatch.setattr(mistakes, "FEW_CLASSES", len(CLASSES))
    assert len(list(mistakes.mistakes(few))) == mistakes.FEW_MODELS
    monkeypatch.setattr(mistakes, "FEW_CLASSES", len(CLASSES) - 1)
    assert len(list(mistakes.mistakes(few))) == 1


def test_mistakes_tell_the_votes_of_the_dataset(run, tmp_path):
    found = find_dataset(run)
    table = pq.read_table(found.path / "images.parquet")
    for name, votes in (("votes_anger", 3), ("votes_neutral", 7), ("votes_fear", 0)):
        table = table.append_column(name, [[votes] * len(table)])
    pq.write_table(table, tmp_path / "images.parquet")
    (tmp_path / "manifest.json").write_text((found.path / "manifest.json").read_text())
    moved = replace(run, data=tmp_path)
    best = run.completed.sort_values("best_val_accuracy").iloc[-1]
    shown = mistakes.prepare(moved, read_probabilities(run, best["trial_id"]))
    assert set(shown["votes"]) == {"neutral 7\nanger 3"}
    drawing = next(mistakes.mistakes(moved))
    assert "with its probability and the most frequent votes of its taggers." in drawing.caption
    given, votes = drawing.draw().axes[0].texts[:2]
    assert votes.get_text() == "neutral 7\nanger 3"
    assert votes.get_position()[1] > given.get_position()[1], "below, as the axis is turned"
    height = {
        text: mistakes.draw(
            shown.assign(votes=["", *[text] * (len(shown) - 1)]), IMAGE_SHAPE
        ).get_size_inches()[1]
        for text in ("", "anger 3")
    }
    assert height[""] < height["anger 3"], "one picture without votes takes no room from others"


def test_a_mean_without_an_interval_does_not_deny_those_of_the_others(run):
    means = pd.DataFrame({"low": [0.1, 0.2, 0.3]})
    words = effects._error_words(run, means)
    assert words.startswith("Whiskers: 95 % intervals")
    assert effects._error_words(run, means.assign(low=[np.nan, 0.2, 0.3])) == words
    none = effects._error_words(run, means.assign(low=np.nan))
    assert none.startswith("They have no interval, because without replicates")


def test_of_the_dataset_only_the_pictures_that_are_asked_for_are_read(run, tmp_path):
    found = find_dataset(run)
    table = pq.read_table(found.path / "images.parquet")
    ids = table["image_id"].to_pylist()
    votes = list(range(len(table)))
    pq.write_table(table.append_column("votes_joy", [votes]), tmp_path / "images.parquet")
    rows = read_rows(replace(found, path=tmp_path), [ids[7], "unknown", ids[3]])
    assert sorted(rows.index) == sorted([ids[7], ids[3]])
    assert list(rows) == ["pixels", "votes_joy"]
    for place in (3, 7):
        assert rows.loc[ids[place], "votes_joy"] == place
        assert rows.loc[ids[place], "pixels"] == table["pixels"][place].as_py()
    answers = read_probabilities(run, incumbent(run)["trial_id"])
    wrong = answers["predicted"] != answers["label"]
    renamed = answers.assign(image_id=answers["image_id"].mask(wrong, "no " + answers["image_id"]))
    with pytest.raises(
        DatasetLeftOutError, match=r"the dataset lacks \d+ of the predicted pictures"
    ):
        mistakes.prepare(run, renamed)


def test_ranks_across_folds_are_those_of_the_means(run):
    trials = run.completed.head(6).assign(
        fold=[0, 1, 0, 1, 0, 1],
        configuration_id=["a", "a", "b", "b", "c", "c"],
        name=["A", "A", "B", "B", "C", "C"],
        best_val_accuracy=[0.5, 0.7, 0.6, 0.6, 0.4, 0.5],
    )
    ranks = folds.prepare(replace(run, trials=trials))
    assert ranks.index.tolist() == ["A", "B", "C"]
    assert ranks.loc["A"].tolist() == [2, 1]
    assert ranks.loc["C"].tolist() == [3, 3]
    drawing = next(folds.folds(replace(run, trials=trials)))
    assert len(render(drawing).png) > 0
    assert list(folds.folds(run)) == []


def test_a_chart_becomes_json_with_its_numbers_in_base64():
    layer = Layer(kind="points", x=np.array([1.0, 2.0]), y=np.array([0.5, np.nan]), label="a")
    panel = Panel(x=Axis(label="x", log=True), y=Axis(label="y"), layers=(layer,))
    plain = to_plain(Chart(panels=(panel,)))
    written = plain["panels"][0]["layers"][0]
    numbers = np.frombuffer(base64.b64decode(written["y"]["f32"]), "<f4")
    assert numbers[0] == 0.5
    assert np.isnan(numbers[1])
    assert written["colour"] == BLUE
    assert "low" not in written
    assert json.loads(json.dumps(plain, allow_nan=False)) == plain


def test_rates_add_up_to_one_per_true_class():
    shares = confusion.rates(np.array([[3, 1], [0, 0]]))
    assert shares[0].tolist() == [0.75, 0.25]
    assert np.isnan(shares[1]).all()  # a class without pictures


def test_a_dataset_that_is_gone_or_changed_is_left_out_with_the_reason(run, tmp_path):
    gone = replace(run, provenance={"dataset": {"path": "nowhere", "fingerprint": "f" * 64}})
    with pytest.raises(DatasetLeftOutError, match="no longer at nowhere"):
        next(dataset_figures(gone))
    place = find_dataset(run).path
    for missing in ("images.parquet", "manifest.json"):
        copy = tmp_path / missing / "data"
        copy.mkdir(parents=True)
        for name in {"images.parquet", "manifest.json"} - {missing}:
            (copy / name).symlink_to(place / name)
        with pytest.raises(DatasetLeftOutError, match=f"no longer at {copy} .*--data"):
            find_dataset(replace(run, data=copy))
    known = {**run.provenance["dataset"], "fingerprint": "0" * 64}
    with pytest.raises(DatasetLeftOutError, match="has changed since the run"):
        next(dataset_figures(replace(run, provenance={"dataset": known})))
    with pytest.raises(DatasetLeftOutError, match="does not name a dataset"):
        next(dataset_figures(replace(run, provenance={})))


def test_missing_values_become_nan_in_a_chart():
    for values in (pd.array([1, None], "Int64"), pd.Series([1, pd.NA], dtype="Int64"), [1, np.nan]):
        assert float_array(values) == pytest.approx([1, np.nan], nan_ok=True)
        assert float_array(values).dtype == float


def test_file_names_are_safe():
    assert file_stem("../a b/ü.png") == "a-b-.png"


def layer_of(drawing, label, panel=0):
    return next(one for one in drawing.chart.panels[panel].layers if one.label == label)


def test_small_whole_numbers_are_written_in_two_bytes_and_others_in_four():
    def numbers(*values):
        ((kind, text),) = to_plain(np.array(values)).items()
        size = {"i16": "<i2", "f32": "<f4"}[kind]
        return kind, np.frombuffer(base64.b64decode(text), size).tolist()

    assert numbers(1.0, -3.0) == ("i16", [1, -3])
    assert numbers(32767.0) == ("i16", [32767])
    assert numbers(32768.0) == ("f32", [32768])
    assert numbers(1.0, 0.5) == ("f32", [1, 0.5])
    assert numbers(np.nan, 1.0)[0] == "f32"
    assert to_plain({"a": (np.float64(0.5), None, "x")}) == {"a": [0.5, None, "x"]}


def test_differences_stand_with_their_intervals_in_points_the_best_on_top(run):
    single = replace(run, trials=run.trials[run.trials["phase"] == "search"])
    drawing = next(comparisons.comparisons(single))
    compared = comparisons.against_incumbent(single)
    panel = drawing.chart.panels[0]
    assert panel.y.reversed
    names = single.trials.set_index("trial_id")["name"]
    assert panel.y.names == tuple(names[compared.frame["id"]])
    marks = sorted(
        (y, x, low, high, text, layer.colour)
        for layer in panel.layers
        if layer.kind == "intervals"
        for y, x, low, high, text in zip(
            layer.y, layer.x, layer.low, layer.high, layer.texts, strict=True
        )
    )
    for place, (mark, row) in enumerate(zip(marks, compared.frame.itertuples(), strict=True)):
        expected = (100 * row.difference, 100 * row.difference_low, 100 * row.difference_high)
        assert mark[0] == place
        assert mark[1:4] == pytest.approx(expected)
        assert mark[4] == f"{names[row.id]}: {row.verdict}"
        assert mark[5] == comparisons.LOOKS[row.verdict][0]
    assert f"incumbent {names[compared.reference]}, in percentage points" in drawing.caption
    assert "the best 5 of 5 others" in drawing.caption
    assert "Trained models are compared" in drawing.caption


def test_only_the_best_others_get_a_line_and_namesakes_a_number(run, monkeypatch):
    monkeypatch.setattr(comparisons, "SHOWN", 2)
    single = replace(run, trials=run.trials[run.trials["phase"] == "search"].assign(name="same"))
    drawing = next(comparisons.comparisons(single))
    compared = comparisons.against_incumbent(single)
    numbers = single.trials.set_index("trial_id")["number"]
    names = [f"same, trial {numbers[one]}" for one in compared.frame["id"].head(2)]
    assert drawing.chart.panels[0].y.names == tuple(names)
    assert "the best 2 of 5 others" in drawing.caption


def test_a_confusion_matrix_shows_true_classes_in_rows_from_above():
    counts = np.array([[3, 1, 0], [0, 0, 0], [2, 4, 1_994]])
    axes = confusion.draw(counts, ["c", "a", "b"]).axes[0]
    assert axes.yaxis_inverted()
    assert not axes.xaxis_inverted()
    assert [text.get_text() for text in axes.get_yticklabels()] == ["c", "a", "b"]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("predicted class", "true class")
    cells = {(*text.get_position(), text.get_text()) for text in axes.texts}
    assert (1, 0, "25%") in cells  # column 1 of row 0
    assert (0, 2, "0%") in cells
    assert (2, 2.06, "1,994") in cells
    assert axes.collections[0].get_clim() == (0, 1)
    shares = axes.collections[0].get_array().tolist()
    assert shares[0] == [0.75, 0.25, 0]


def test_confusion_matrices_are_of_the_best_models_in_their_order(run):
    drawings = list(confusion.confusion(run))
    best = curves.best_models(run)
    titles = [f"Confusion matrix of {one['name']}, trial {one['number']}" for one in best]
    assert [one.title for one in drawings] == titles
    numbers = [f"trial{one['number']}" for one in best]
    assert [one.name.split("_")[-1] for one in drawings] == numbers
    assert all("n = 400 pictures" in one.caption for one in drawings)


def test_cost_shows_the_accuracy_of_the_objective_against_each_cost(run):
    drawing = next(cost.cost(run))
    panels = drawing.chart.panels
    assert [panel.x.label for panel in panels] == list(cost.COSTS.values())
    data = run.comparable
    for panel, name in zip(panels, cost.COSTS, strict=True):
        for layer in panel.layers[1:]:
            own = data.set_index("number").loc[layer.trials]
            assert layer.x.tolist() == own[name].tolist()
            assert layer.y.tolist() == (100 * own["best_val_accuracy"]).tolist()
            status = "EARLY_STOPPED" if layer.hollow else "COMPLETED"
            assert set(own["status"]) == {status}
            assert layer.label == {"COMPLETED": "completed"}.get(status, "stopped early")
        front = panel.layers[0]
        done = run.completed
        for x, y in zip(front.x, front.y, strict=True):
            cheaper = done[done[name] <= x]
            assert y == 100 * cheaper["best_val_accuracy"].max()
        assert np.diff(front.x).min(initial=1) > 0
    assert "at the best epoch, n = 400 pictures" in drawing.caption
    last = replace(run, info=replace(run.info, objective={**run.info.objective, "at": "last"}))
    layer = next(cost.cost(last)).chart.panels[0].layers[1]
    own = data.set_index("number").loc[layer.trials]
    assert layer.y.tolist() == (100 * own["last_val_accuracy"]).tolist()


def test_a_cost_that_does_not_differ_is_left_out_and_one_that_spans_a_factor_of_four_is_log(run):
    same = run.trials.assign(parameters=run.trials["parameters"].notna() * 1000)
    (panel,) = next(cost.cost(replace(run, trials=same))).chart.panels
    assert panel.x.label == "training time, seconds"
    frame = cost.prepare(run)
    for most, log in ((400, True), (399, False)):
        spread_out = frame.assign(parameters=np.linspace(100, most, len(frame)))
        assert cost.cost_chart(spread_out, ["parameters"], ACCURACY).panels[0].x.log == log
    none = run.trials.assign(parameters=1000, seconds=2.0)
    assert list(cost.cost(replace(run, trials=none))) == []


def test_of_equal_models_only_the_first_is_on_the_front():
    front = cost.pareto(np.array([2.0, 1, 1, 2]), np.array([0.7, 0.6, 0.6, 0.7]))
    assert front.tolist() == [1, 0]


def test_curves_of_a_model_are_loss_and_accuracy_with_its_best_epoch_marked(run):
    drawing = next(curves.model_curves(run))
    best = curves.best_models(run)[0]
    assert drawing.title == f"Learning of {best['name']}, trial {best['number']}"
    data = run.measurements[run.measurements["trial_id"] == best["trial_id"]].sort_values("epoch")
    for panel, what, scale in ((0, "loss", 1), (1, "accuracy", 100)):
        for label, column in (("training", f"train_{what}"), ("validation", f"val_{what}")):
            layer = layer_of(drawing, label, panel)
            assert layer.x.tolist() == data["epoch"].tolist()
            assert layer.y.tolist() == (scale * data[column]).tolist()
        dot = layer_of(drawing, "best epoch", panel)
        at_best = data.set_index("epoch").loc[int(best["best_epoch"])]
        assert dot.x.tolist() == [best["best_epoch"]]
        assert dot.y.tolist() == [scale * at_best[f"val_{what}"]]
    labels = [panel.y.label for panel in drawing.chart.panels]
    assert labels == ["loss (cross-entropy)", "accuracy, %"]


def test_curves_in_the_overview_are_told_apart_by_how_they_ended(run):
    stopped = run.trials.index[run.trials["status"] == "EARLY_STOPPED"][0]
    waiting = run.trials["status"].where(run.trials.index != stopped, "INTERRUPTED")
    drawing = next(curves.overview(replace(run, trials=run.trials.assign(status=waiting))))
    labels = {
        layer.label: (layer.colour, layer.marker)
        for layer in drawing.chart.panels[1].layers
        if layer.kind == "curves"
    }
    assert labels == {
        "completed (10)": (BLUE, ""),
        "stopped early (3)": (ORANGE, "o"),
        "diverged (1)": (VERMILION, "X"),
        "not finished (1)": (MUTED, "|"),
    }
    done = layer_of(drawing, "completed (10)", 1)
    for start, stop, number in zip(
        done.starts, [*done.starts[1:], len(done.x)], done.trials, strict=True
    ):
        trial_id = run.trials["trial_id"].iloc[number]
        own = run.measurements[run.measurements["trial_id"] == trial_id].sort_values("epoch")
        assert done.x[start:stop].tolist() == own["epoch"].tolist()
        assert done.y[start:stop].tolist() == (100 * own["val_accuracy"]).tolist()
    assert "n = 400 pictures" in drawing.caption
    known = replace(run, trials=run.trials.assign(n=12_345))
    assert curves.n_words(known) == ", n = 12,345 pictures"
    assert curves.n_words(replace(run, trials=run.trials.assign(n=pd.NA))) == ""
    no_rungs = replace(run, info=replace(run.info, rungs=()))
    assert "rungs" not in next(curves.overview(no_rungs)).caption


def test_effects_draw_every_trial_at_its_level(run):
    drawing = next(effects.effects(run))
    titles = [panel.x.label for panel in drawing.chart.panels]
    assert titles == ["kernel size", "blocks (tied: FC layers)", "channels", "convolution depth"]
    panel = drawing.chart.panels[2]
    counts = run.comparable["channels"].value_counts()
    assert panel.x.names == (f"8\n({counts[8]})", f"16\n({counts[16]})")
    early = run.measurements[run.measurements["epoch"] <= 3]
    at_epoch = 100 * early.groupby("trial_id")["val_accuracy"].max()
    for layer in panel.layers[:-1]:
        own = run.trials.set_index("number").loc[layer.trials]
        assert layer.y.tolist() == at_epoch[own["trial_id"]].tolist()
        place = (own["channels"] == 16).to_numpy(int)
        assert np.abs(layer.x - place).max() <= 0.25
        assert set(own["status"] == "EARLY_STOPPED") == {layer.hollow}
    assert all(one.y.limits == panel.y.limits for one in drawing.chart.panels)
    drawn = [layer for one in drawing.chart.panels for layer in one.layers]
    ends = [end for one in drawn for end in (one.y, one.low, one.high) if end is not None]
    low, high = np.concatenate(ends).min(), np.concatenate(ends).max()
    margin = 0.06 * (high - low)
    assert margin > 0.5
    assert panel.y.limits == pytest.approx((low - margin, high + margin))
    single = run.trials[run.trials["replicate"] == 0]
    alike = run.measurements.assign(val_accuracy=0.5)
    equal = replace(run, trials=single, measurements=alike, answers={})
    limits = next(effects.effects(equal)).chart.panels[0].y.limits
    assert limits == pytest.approx((49.5, 50.5)), "half a point at least"
    assert (
        "Validation accuracy, n = 400 pictures, at the best of the first 3 epochs, which all 14 "
        "compared trials (completed or stopped early) reached. 2 others failed and are not "
        "shown." in drawing.caption
    )
    last = replace(run, info=replace(run.info, objective={**run.info.objective, "at": "last"}))
    assert ", after 3 epochs, which all 14" in next(effects.effects(last)).caption


def test_points_at_a_place_stand_side_by_side():
    x = effects.spread(pd.Series([0, 2, 0, 0]), 0.5)
    assert x.tolist() == pytest.approx([-0.07, 2.0, 0.0, 0.07])
    many = effects.spread(pd.Series([1] * 101), 0.5)
    assert (many.min(), many.max()) == pytest.approx((0.75, 1.25))


def test_many_points_are_drawn_faint():
    data = pd.DataFrame({"completed": True, "accuracy": 50.0, "number": range(401)})
    (layer,) = effects.trial_layers(data, np.zeros(401))
    assert layer.alpha == 0.4
    (layer,) = effects.trial_layers(data.head(400), np.zeros(400))
    assert layer.alpha == 1.0
    half = data.assign(completed=data["number"] < 200)
    assert [layer.alpha for layer in effects.trial_layers(half, np.zeros(401))] == [1.0, 1.0]


def test_ranks_are_drawn_best_first_from_above(run, monkeypatch):
    monkeypatch.setattr(folds, "SHOWN", 2)
    trials = run.completed.head(6).assign(
        fold=[0, 1, 0, 1, 0, 1],
        configuration_id=["c", "c", "b", "b", "a", "a"],
        name=["C", "C", "B", "B", "A", "A"],
        best_val_accuracy=[0.5, 0.7, 0.6, 0.71, 0.4, 0.5],
        last_val_accuracy=[0.1, 0.1, 0.2, 0.2, 0.3, 0.3],
    )
    drawing = next(folds.folds(replace(run, trials=trials)))
    panel = drawing.chart.panels[0]
    assert [layer.label for layer in panel.layers] == ["B", "C"]
    assert [layer.y.tolist() for layer in panel.layers] == [[1, 1], [2, 2]]
    assert panel.y.reversed
    assert panel.x.names == ("fold 0", "fold 1")
    assert panel.y.whole
    assert "2 of the 3 configurations" in drawing.caption
    assert "on each of 2 folds (1: most accurate; ties" in drawing.caption
    last = replace(run.info, objective={**run.info.objective, "at": "last"})
    ranks = folds.prepare(replace(run, trials=trials, info=last))
    assert ranks.index.tolist() == ["A", "B", "C"]


def test_of_a_loss_the_lowest_of_a_fold_has_the_first_rank():
    loss = hand_made(
        "rmse",
        mode="min",
        best_rmse=[5.0, 7.0, 6.0, 8.0, 4.0, 5.0],
        fold=[0, 1] * 3,
        configuration_id=["c", "c", "b", "b", "a", "a"],
        name=["C", "C", "B", "B", "A", "A"],
    )
    (drawing,) = folds.folds(loss)
    assert [layer.label for layer in drawing.chart.panels[0].layers] == ["A", "C", "B"]
    assert "by its rmse on each of 2 folds (1: best; ties" in drawing.caption


def test_groups_are_drawn_with_what_they_were_before():
    now = pd.DataFrame(
        {
            "attribute": ["age", "age", "age"],
            "group": ["old", "new", "average"],
            "accuracy": [0.6, 0.8, 0.7],
            "accuracy_low": [0.5, 0.7, np.nan],
            "accuracy_high": [0.65, 0.9, np.nan],
            "n": [1_200, 20, 1_220],
        }
    )
    then = now.assign(group=["new", "average", "x"], accuracy=[0.3, 0.2, 0.1])

    def table(name, frame):
        return Table(name=name, frame=frame, views=(), notes=())

    (drawing,) = groups.groups_figure([table("bias_groups", now)])
    panel = drawing.chart.panels[0]
    assert panel.y.names == ("age: old (n 1,200)", "age: new (n 20)")
    assert panel.y.reversed
    (layer,) = panel.layers
    assert (layer.x.tolist(), layer.y.tolist()) == ([60, 80], [0, 1])
    assert (layer.low.tolist(), layer.high.tolist()) == ([50, 70], [65, 90])
    assert layer.label == ""
    both = [table("bias_groups_before", then), table("bias_groups", now)]
    (drawing,) = groups.groups_figure(both)
    after, before = drawing.chart.panels[0].layers
    assert (after.label, before.label) == ("after", "before")
    assert (before.x.tolist(), before.y.tolist(), before.hollow) == ([30], [1], True)
    assert before.texts == ("age: new (n 20)",)
    assert "Hollow dots" in drawing.caption
    assert list(groups.groups_figure([])) == []


def test_mistakes_stand_by_true_class_in_its_order_with_their_pixels(run):
    best = run.completed.loc[run.completed["best_val_accuracy"].idxmax()]
    shown = mistakes.prepare(run, read_probabilities(run, best["trial_id"]))
    assert list(dict.fromkeys(shown["true"])) == list(CLASSES)
    answers = read_probabilities(run, best["trial_id"])
    rows = pq.read_table(find_dataset(run).path / "images.parquet").to_pandas()
    wrong = answers[answers["label"] != answers["predicted"]]
    wrong = wrong.sort_values(["probability", "image_id"], ascending=[False, True])
    for name, own in shown.groupby("true"):
        expected = wrong[wrong["label"] == CLASSES.index(name)].head(mistakes.SHOWN)
        assert own["given"].tolist() == [CLASSES[one] for one in expected["predicted"]]
        pixels = rows.set_index("image_id").loc[expected["image_id"], "pixels"]
        assert own["pixels"].tolist() == pixels.tolist()
    assert (shown["votes"] == "").all()
    drawing = next(mistakes.mistakes(run))
    assert drawing.title.endswith(f"{best['name']}, trial {best['number']}")
    assert "votes" not in drawing.caption


def test_a_mistake_is_drawn_in_the_shape_of_the_pictures(run):
    best = run.completed.loc[run.completed["best_val_accuracy"].idxmax()]
    shown = mistakes.prepare(run, read_probabilities(run, best["trial_id"]))
    axes = mistakes.draw(shown, IMAGE_SHAPE).axes[0]
    picture = axes.images[0]
    assert picture.get_array().shape == IMAGE_SHAPE
    left, right, bottom, top = picture.get_extent()
    assert (right - left) / (bottom - top) == pytest.approx(IMAGE_SHAPE[1] / IMAGE_SHAPE[0])
    assert axes.yaxis_inverted()
    assert [text.get_text() for text in axes.get_yticklabels()] == list(CLASSES)
    row = shown.iloc[0]
    assert axes.texts[0].get_text() == f"{row['given']} {row['probability']:.0%}"
    assert len(axes.images) == len(shown)


def test_the_two_most_frequent_votes_are_told():
    votes = mistakes._votes
    assert votes({"votes_fear": 1, "votes_anger": 5, "votes_joy": 3}) == "anger 5\njoy 3"
    assert votes({"votes_fear": 0, "votes_anger": 2}) == "anger 2"
    assert votes({"votes_fear": 0}) == ""


def test_a_picture_without_votes_beside_others_with_votes_has_none():
    # The columns of votes are then floats, with NaN for this picture.
    assert mistakes._votes({"votes_fear": float("nan"), "votes_anger": float("nan")}) == ""
    assert mistakes._votes({"votes_fear": 2.0, "votes_anger": 5.0}) == "anger 5\nfear 2"


def test_cells_of_a_pair_stand_at_their_levels():
    data = pd.DataFrame(
        {
            "a": [7, 7, 3, 3],
            "b": [1, 2, 1, 1],
            "configuration_id": ["w", "x", "y", "z"],
            "accuracy": [50.0, 60.0, 70.0, 74.0],
            "number": [4, 2, 0, 1],
        }
    )
    chart = pairs.levels_chart(data, ("a", "the a"), ("b", "the b"), ACCURACY)
    heat, points = chart.panels
    assert (heat.x.label, heat.y.label) == ("the b", "the a")
    assert (heat.x.names, heat.y.names) == (("1", "2"), ("3", "7"))
    cells = heat.layers[0]
    found = {
        (x, y): (value, text)
        for x, y, value, text in zip(cells.x, cells.y, cells.values, cells.texts, strict=True)
    }
    assert found == {
        (0, 0): (72.0, "72.0 %\nn = 2"),
        (0, 1): (50.0, "50.0 %\nn = 1"),
        (1, 1): (60.0, "60.0 %\nn = 1"),
    }
    assert heat.value_limits == (50.0, 74.0)  # that of single trials
    lines = {layer.label: layer for layer in points.layers if layer.kind == "line"}
    assert lines["7"].y.tolist() == [50.0, 60.0]
    assert lines["3"].y.tolist() == [72.0]
    assert lines["7"].x.tolist() == pytest.approx([0.18, 1.18])
    assert chart.legend_title == "the a"
    assert points.x.names == ("1", "2")


def test_a_colour_scale_spans_two_points_at_least():
    assert pairs.colour_limits([50.0, np.nan, 50.5], ACCURACY) == pytest.approx((49.25, 51.25))
    assert pairs.colour_limits([50.0, 53.0], ACCURACY) == (50.0, 53.0)


def test_where_one_of_a_pair_is_continuous_it_lies_on_the_x_axis(run):
    rates = np.geomspace(1e-4, 1e-1, len(run.trials))
    decays = np.linspace(0.1, 0.2, len(run.trials))
    trials = run.trials.assign(learning_rate=rates, weight_decay=decays)
    info = replace(run.info, searched=("learning_rate", "channels", "weight_decay"), tied={})
    drawn = {one.name: one for one in pairs.pairs(replace(run, trials=trials, info=info))}
    series = drawn["accuracy_by_learning_rate_and_channels"].chart
    panel = series.panels[0]
    assert (panel.x.label, panel.x.log, series.legend_title) == ("learning rate", True, "channels")
    assert [layer.label for layer in panel.layers] == ["8", "16"]
    for layer in panel.layers:
        assert layer.x.tolist() == rates[layer.trials].tolist()
        own = trials.set_index("number").loc[layer.trials, "channels"]
        assert set(own) == {int(layer.label)}
    plane = drawn["accuracy_by_learning_rate_and_weight_decay"].chart.panels[0]
    (layer,) = plane.layers
    assert layer.x.tolist() == decays[layer.trials].tolist()
    assert layer.y.tolist() == rates[layer.trials].tolist()
    assert (plane.x.log, plane.y.log) == (False, True)
    assert (plane.x.label, plane.y.label) == ("weight decay", "learning rate")


def test_parallel_coordinates_spread_wide_numbers_by_their_logarithms(run):
    rates = np.geomspace(1e-4, 1e-2, len(run.trials))
    trials = run.trials.assign(learning_rate=rates)
    info = replace(run.info, searched=("learning_rate", "channels"), tied={})
    drawing = next(parallel.parallel(replace(run, trials=trials, info=info)))
    chart = drawing.chart
    assert chart.labels == ("learning rate", "channels", "validation accuracy by epoch 3, %")
    shown = np.log10(rates[chart.trials])
    expected = (shown - shown.min()) / (shown.max() - shown.min())
    assert chart.places[:, 0] == pytest.approx(expected)
    assert [place for place, _ in chart.ticks[0]] == [0, 0.25, 0.5, 0.75, 1]
    assert chart.ticks[0][0][1] == "0.0001"
    assert chart.ticks[1] == ((0.25, "8"), (0.75, "16"))
    assert chart.values.tolist() == (100 * at_common_epoch(run)[chart.trials]).tolist()
    accuracy = (chart.values - chart.values.min()) / np.ptp(chart.values)
    assert chart.places[:, 2] == pytest.approx(accuracy)
    one = replace(run, info=replace(run.info, searched=("channels",), tied={}))
    assert list(parallel.parallel(one)) == []


def at_common_epoch(run):
    """Return the best of the first three epochs by the number of the trial."""
    early = run.measurements[run.measurements["epoch"] <= 3]
    best = early.groupby("trial_id")["val_accuracy"].max()
    return run.trials["trial_id"].map(best).to_numpy()


def test_progress_draws_the_end_of_each_trial_and_the_best_where_it_changes(run):
    drawing = next(progress.progress(run))
    data = progress.prepare(run)
    ends = layer_of(drawing, "a trial at its last epoch")
    # One trial failed before its first epoch.
    expected = run.trials[run.trials["number"] != 2].set_index("number").loc[ends.trials]
    assert len(ends.trials) == len(run.trials) - 1
    assert ends.y.tolist() == pytest.approx((100 * expected["last_val_accuracy"]).tolist())
    best = layer_of(drawing, "best so far")
    assert best.kind == "steps"
    assert np.all(np.diff(best.y)[:-1] > 0)
    assert best.x[-1] == data["device_hours"].iloc[-1]
    assert best.y[-1] == 100 * run.measurements["val_accuracy"].max()
    assert f"({data['device_hours'].iloc[-1]:.3g} in total;" in drawing.caption
    assert "Every epoch of every trial counts" in drawing.caption
    assert drawing.title == "Best validation accuracy so far"


def test_a_loss_is_told_as_it_is(run):
    objective = {"metric": "val_loss", "mode": "min", "at": "last"}
    drawing = next(progress.progress(replace(run, info=replace(run.info, objective=objective))))
    assert drawing.title == "Best validation loss so far"
    assert drawing.chart.panels[0].y.label == "validation loss"
    assert "Only the last epoch of each trial counts" in drawing.caption
    finite = run.trials[run.trials["status"].isin(["COMPLETED", "EARLY_STOPPED"])]
    assert layer_of(drawing, "best so far").y[-1] == finite["last_val_loss"].min()


def test_a_dataset_in_colour_is_drawn_in_colour(run, tmp_path):
    """The gray pictures of the run as red, their negatives as green, and no blue."""
    found = find_dataset(run)
    table = pq.read_table(found.path / "images.parquet").to_pandas()
    gray = [np.frombuffer(pixels, np.uint8) for pixels in table["pixels"]]
    planes = [np.stack([row, 255 - row, 0 * row], axis=-1) for row in gray]
    table["pixels"] = [pixels.tobytes() for pixels in planes]
    table.to_parquet(tmp_path / "images.parquet")
    manifest = {**found.manifest, "channels": 3}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    colour = find_dataset(replace(run, data=tmp_path))
    pictures = training_pictures(colour, 2)
    assert list(pictures.values) == ["red", "green", "blue"]
    ours = training_pictures(found, 2)
    for name in CLASSES:
        red, green, blue = (of_class[name] for of_class in pictures.values.values())
        assert (red == ours.values["gray"][name]).all()
        assert (green == red[::-1]).all()
        assert blue[1:].sum() == 0
    assert pictures.samples[CLASSES[0]].shape == (2, *IMAGE_SHAPE, 3)
    _, histogram, samples = dataset_figures(replace(run, data=tmp_path))
    labels = [axes.get_xlabel() for axes in histogram.draw().axes]
    assert [label.split()[0] for label in labels] == ["red", "green", "blue"]
    wall = samples.draw().axes[0].images[0].get_array()
    shown = wall[: IMAGE_SHAPE[0], : IMAGE_SHAPE[1]]
    assert (shown == training_pictures(colour, 10).samples[CLASSES[0]][0]).all()
    wrong = next(mistakes.mistakes(replace(run, data=tmp_path))).draw()
    assert wrong.axes[0].images[0].get_array().shape == (*IMAGE_SHAPE, 3)


def test_a_figure_is_written_under_its_name(run, tmp_path):
    drawn = render(next(curves.overview(run)))
    drawn.write(tmp_path)
    assert (tmp_path / "learning_curves.svg").read_text("utf-8") == drawn.svg
    assert (tmp_path / "learning_curves.png").read_bytes() == drawn.png
    assert file_stem("///") == "figure"


def test_series_are_told_apart_by_colour_mark_and_dash():
    looks = [style.series_style(place) for place in range(7)]
    assert looks[0] == looks[6]
    for key in ("colour", "marker", "dash"):
        assert len({str(look[key]) for look in looks[:6]}) == 6


def test_ink_is_white_on_dark_and_black_on_light():
    assert (style.ink_on(0.0), style.ink_on(1.0)) == ("#ffffff", "#000000")
    assert (style.ink_on(-1), style.ink_on(2)) == ("#ffffff", "#000000")


def test_models_that_broke_are_not_among_the_best(run):
    order = run.trials["number"] % 2
    few = replace(run, trials=run.trials.assign(status=run.trials["status"].mask(order == 1, "x")))
    shown = curves.best_models(few)
    assert [one["number"] for one in shown] == [
        number for number in curves.ranked(few)["number"] if number in set(few.comparable["number"])
    ]
    assert len(shown) == len(few.comparable) < curves.BEST_SHOWN


def test_means_of_a_continuous_hyperparameter_stand_at_the_median_of_their_quarter(run):
    trials = run.trials[run.trials["replicate"] == 0]
    rates = np.geomspace(1e-4, 1e-1, len(trials))
    info = replace(run.info, searched=("learning_rate",), tied={}, **by("random"))
    varied = replace(run, trials=trials.assign(learning_rate=rates), info=info)
    drawing = next(effects.effects(varied))
    (panel,) = drawing.chart.panels
    own = varied.comparable["learning_rate"].to_numpy()
    quarter = np.searchsorted(np.quantile(own, [0.25, 0.5, 0.75]), own)
    means = panel.layers[-1]
    assert means.kind == "points"
    assert means.x == pytest.approx([np.median(own[quarter == k]) for k in range(4)])
    accuracy = 100 * at_common_epoch(run)[varied.comparable["number"]]
    assert means.y == pytest.approx([accuracy[quarter == k].mean() for k in range(4)])
    assert panel.x.log
    assert "from the spread of the configurations that were drawn" in drawing.caption


def test_ties_share_their_rank_and_only_whole_rows_of_folds_are_ranked(run):
    trials = run.completed.head(6).assign(
        fold=[0, 0, 1, 0, 1, 0],
        configuration_id=["a", "a", "a", "b", "b", "c"],
        name=["A", "A", "A", "B", "B", "C"],
        best_val_accuracy=[0.5, 0.75, 0.6, 0.625, 0.5, 0.9],
    )
    ranks = folds.prepare(replace(run, trials=trials))
    assert ranks.index.tolist() == ["A", "B"]
    assert ranks.to_numpy().tolist() == [[1.5, 1], [1.5, 2]]
    for few in (trials[trials["name"] == "B"], trials[trials["fold"] == 0]):
        assert list(folds.folds(replace(run, trials=few))) == [], "nothing to rank, or one fold"


def test_mistakes_are_drawn_in_a_row_for_each_class(run):
    best = run.completed.loc[run.completed["best_val_accuracy"].idxmax()]
    shown = mistakes.prepare(run, read_probabilities(run, best["trial_id"]))
    images = mistakes.draw(shown, IMAGE_SHAPE).axes[0].images
    corners = pd.DataFrame([one.get_extent() for one in images], columns=["x", "right", "y", "top"])
    assert corners["x"].tolist() == shown.groupby("true").cumcount().tolist()
    assert (corners.groupby(shown["true"])["top"].nunique() == 1).all()
    assert corners["top"].drop_duplicates().is_monotonic_increasing
    assert corners["top"].nunique() == len(CLASSES)
    axes = images[0].axes
    labels = [text.get_text() for text in axes.get_yticklabels()]
    for name, at in zip(labels, axes.get_yticks(), strict=True):
        row = corners[(shown["true"] == name).to_numpy()].iloc[0]
        assert row["top"] < at < row["y"], "a name stands beside its row"
    for one, pixels in zip(images, shown["pixels"], strict=True):
        assert one.get_array().tobytes() == pixels


def test_a_line_has_a_gap_where_a_hyperparameter_is_not_used_and_needs_an_accuracy(run):
    some = run.trials["channels"].where(run.trials["blocks"] == 4)
    lost = run.comparable["trial_id"].iloc[3]
    accuracy = run.measurements["val_accuracy"].mask(run.measurements["trial_id"] == lost)
    odd = replace(
        run,
        trials=run.trials.assign(channels=some),
        measurements=run.measurements.assign(val_accuracy=accuracy),
    )
    chart = next(parallel.parallel(odd)).chart
    assert len(chart.trials) == len(run.comparable) - 1
    assert run.comparable["number"].iloc[3] not in chart.trials
    own = odd.trials.set_index("number").loc[chart.trials, "channels"]
    place = chart.labels.index("channels")
    assert np.isnan(chart.places[:, place]).tolist() == own.isna().tolist()
    places = chart.places[own.notna().to_numpy(), place]
    assert (places > 0.5).tolist() == (own.dropna() == 16).tolist()
    assert [text for _, text in chart.ticks[place]] == ["8", "16"]


def test_captions_of_the_dataset_count_its_training_pictures(run):
    counts, intensity, samples = (one.caption for one in dataset_figures(run))
    assert "740 pictures" in counts
    assert "split given. The largest class, " in counts
    assert intensity.startswith("All pixels of 280 training pictures, in bins of 8 values")
    assert samples == "Drawn at random from the 280 training pictures, at most 10 per class."


def test_the_caption_of_class_counts_names_the_classes_that_are_left_out(run, monkeypatch):
    monkeypatch.setattr(class_counts, "left_out_words", lambda _: " Three are left out.")
    caption = next(dataset_figures(run)).caption
    assert "split given. Three are left out. The largest class, " in caption


def test_small_points_stand_beside_the_mean_of_their_series():
    data = pd.DataFrame(
        {
            "a": [7, 7, 3, 3],
            "b": [1, 2, 1, 1],
            "configuration_id": list("wxyz"),
            "accuracy": [50.0, 60.0, 70.0, 74.0],
            "number": [4, 2, 0, 1],
        }
    )
    panel = pairs.levels_chart(data, ("a", "a"), ("b", "b"), ACCURACY).panels[1]
    low, high = (one for one in panel.layers if one.kind == "points")
    assert low.x.tolist() == pytest.approx([-0.18 - 0.035, -0.18 + 0.035])
    assert high.x.tolist() == pytest.approx([0.18, 1.18])
    assert (low.trials.tolist(), high.trials.tolist()) == ([0, 1], [4, 2])


def test_a_series_stands_at_the_levels_that_it_has_between_the_ends_of_its_own_means():
    data = pd.DataFrame(
        {
            "a": [7, 3, 3],
            "b": [2, 1, 2],
            "configuration_id": list("xyz"),
            "accuracy": [60.0, 70.0, 74.0],
            "number": [2, 0, 1],
        }
    )
    cells = pd.MultiIndex.from_tuples([("3", "1"), ("3", "2"), ("7", "2")], names=["row", "column"])
    ends = pd.DataFrame({"low": [69.0, 73.0, 58.0], "high": [72.0, 76.0, 63.0]}, index=cells)
    panel = pairs.levels_chart(data, ("a", "a"), ("b", "b"), ACCURACY, ends).panels[1]
    lines = {layer.label: layer for layer in panel.layers if layer.kind == "line"}
    assert lines["7"].x.tolist() == pytest.approx([1.18])  # beside the second level
    assert (lines["7"].low.tolist(), lines["7"].high.tolist()) == ([58], [63])
    assert (lines["3"].low.tolist(), lines["3"].high.tolist()) == ([69, 73], [72, 76])


def test_cells_stand_at_their_levels_though_the_first_row_lacks_the_first_column():
    data = pd.DataFrame(
        {
            "a": [3, 7, 7],
            "b": [2, 1, 2],
            "configuration_id": list("xyz"),
            "accuracy": [60.0, 70.0, 80.0],
            "number": [0, 1, 2],
        }
    )
    heat = pairs.levels_chart(data, ("a", "a"), ("b", "b"), ACCURACY).panels[0]
    (cells,) = heat.layers
    assert (heat.x.names, heat.y.names) == (("1", "2"), ("3", "7"))
    places = list(zip(cells.x, cells.y, cells.values, strict=True))
    assert places == [(1, 0, 60), (0, 1, 70), (1, 1, 80)]


def test_a_pair_of_unknown_share_stands_behind_those_that_explain_something(monkeypatch):
    terms = ["kernel_size", "blocks", "channels"]
    frame = pd.DataFrame({"term": terms, "share": [np.nan, 0.1, 0.2], "verdict": ""})
    monkeypatch.setattr(pairs, "known_effects", lambda _: frame)
    kernel_blocks, kernel_channels, both = combinations(terms, 2)
    found = pairs.mattering(None, [kernel_blocks, kernel_channels, both])
    assert found == ([both], [kernel_channels, kernel_blocks])


def test_colours_of_a_loss_span_what_it_spans():
    loss = Metric(name="val_loss", sign=-1, is_share=False)
    assert pairs.colour_limits([0.5, 0.75], loss) == (0.5, 0.75)


def test_ticks_of_an_axis_have_three_digits_or_two_on_a_logarithm_and_equals_stand_at_its_end():
    _, ticks = parallel._number_scale(pd.Series([50.0, 60.1234]))
    assert [text for _, text in ticks] == ["50", "52.5", "55.1", "57.6", "60.1"]
    _, ticks = parallel._number_scale(pd.Series([1e-4, 1e-1]))
    assert [text for _, text in ticks] == ["0.0001", "0.00056", "0.0032", "0.018", "0.1"]
    places, _ = parallel._number_scale(pd.Series([5.0, 5.0]))
    assert places.tolist() == [0, 0]


def test_one_mean_without_an_interval_leaves_the_others_theirs():
    means = pd.DataFrame(
        {"mean": [1.0, 2.0], "low": [0.5, np.nan], "high": [1.5, np.nan]}, index=["a", "b"]
    )
    layer = effects._means(means, pd.Series([0.0, 1.0], index=["a", "b"]), "means", "mean")
    assert layer.low == pytest.approx([0.5, np.nan], nan_ok=True)
    assert layer.high == pytest.approx([1.5, np.nan], nan_ok=True)


def test_only_what_can_be_compared_makes_a_comparison_early(run):
    whole = run.completed.assign(status=["FAILED"] + ["COMPLETED"] * (len(run.completed) - 1))
    longest = whole["epochs_trained"].where(whole["status"] != "FAILED", 100)
    assert early_warning(replace(run, trials=whole.assign(epochs_trained=longest))) == ""


def test_a_class_without_pictures_has_no_share_and_cells_lie_about_their_places():
    axes = confusion.draw(np.array([[3, 1], [0, 0]]), ["a", "b"]).axes[0]
    cells = {(*text.get_position(), text.get_text()) for text in axes.texts}
    assert {(0, 1, "–"), (1, 1, "–"), (1, 1.06, "0")} < cells
    corners = axes.collections[0].get_coordinates()
    assert (corners[0, 0].tolist(), corners[-1, -1].tolist()) == ([-0.5, -0.5], [1.5, 1.5])


def test_a_model_without_predictions_hides_no_matrix_of_the_next_ones(run, monkeypatch):
    every = drawn_names(confusion.confusion(run))
    first = curves.best_models(run)[0]["trial_id"]
    monkeypatch.setattr(
        confusion, "read_confusion",
        lambda run, trial_id: None if trial_id == first else read_confusion(run, trial_id),
    )  # fmt: skip
    assert drawn_names(confusion.confusion(run)) == every[1:]


def test_a_curve_begins_at_its_first_known_value_and_its_status_counts_every_trial():
    rows = pd.DataFrame(
        {"number": [4, 4, 5, 5, 6], "epoch": [1, 2, 1, 2, 1], "loss": [np.nan, 2, 3, 4, np.nan]}
    )
    layer = curves._curves(rows, "loss", curves.UNFINISHED)
    assert (layer.x.tolist(), layer.y.tolist()) == ([2, 1, 2], [2, 3, 4])
    assert (layer.starts.tolist(), layer.trials.tolist()) == ([0, 1], [4, 5])
    assert layer.label == "not finished (3)"


def without_mistakes(predicted, label):
    """Return the predictions with no mistake in the pictures of a class."""
    of_class = predicted["label"] == label
    return predicted.assign(predicted=predicted["predicted"].mask(of_class, label))


def test_as_many_classes_with_mistakes_as_are_shown_are_all_shown(run, monkeypatch):
    left_out = "classes with the lowest recall"
    monkeypatch.setattr(mistakes, "MOST_CLASSES", 3)
    assert f"; the 3 {left_out}" in next(mistakes.mistakes(run)).caption
    monkeypatch.setattr(
        mistakes, "read_probabilities",
        lambda run, trial_id: without_mistakes(read_probabilities(run, trial_id), 1),
    )  # fmt: skip
    assert left_out not in next(mistakes.mistakes(run)).caption


def test_a_model_without_predictions_hides_no_mistakes_of_the_next_ones(run, monkeypatch):
    few = replace(run, trials=run.completed.head(3))
    every = drawn_names(mistakes.mistakes(few))
    first = incumbent(few)["trial_id"]
    monkeypatch.setattr(
        mistakes, "read_probabilities",
        lambda run, trial_id: None if trial_id == first else read_probabilities(run, trial_id),
    )  # fmt: skip
    assert len(every) == 3
    assert drawn_names(mistakes.mistakes(few)) == every[1:]


def test_equally_sure_mistakes_stand_by_the_ids_of_their_pictures(run):
    predicted = read_probabilities(run, incumbent(run)["trial_id"]).assign(probability=0.5)
    rows = pq.read_table(find_dataset(run).path / "images.parquet").to_pandas()
    wrong = predicted[predicted["label"] != predicted["predicted"]].sort_values("image_id")
    ids = wrong[wrong["label"] == 0]["image_id"].head(mistakes.SHOWN)
    shown = mistakes.prepare(run, predicted)
    own = shown[shown["true"] == CLASSES[0]]
    assert own["pixels"].tolist() == rows.set_index("image_id").loc[ids, "pixels"].tolist()


def test_pixel_values_are_drawn_by_class_up_to_a_number_of_classes(run, monkeypatch):
    for most, title in ((len(CLASSES), "Pixel intensity per class"), (3, "Pixel intensity")):
        monkeypatch.setattr(pixel_values, "MOST_CURVES", most)
        assert list(dataset_figures(run))[1].title == title


def test_a_cost_of_0_has_no_logarithm_and_only_known_accuracies_are_drawn():
    data = pd.DataFrame(
        {
            "number": range(4),
            "completed": [False, False, False, True],
            "accuracy": [50.0, 60.0, 70.0, np.nan],
            "parameters": [0.0, 10.0, 100.0, 1000.0],
        }
    )
    (panel,) = cost.cost_chart(data, ["parameters"], ACCURACY).panels
    assert not panel.x.log
    assert [layer.label for layer in panel.layers] == ["stopped early"], "and there is no front"
    assert panel.layers[0].x.tolist() == [0, 10, 100]


def test_a_plane_of_two_ranges_has_each_trial_at_its_values_and_a_logarithm_where_one_is_due():
    rates, widths = [0.001, 0.01, 0.1], [1.0, 3.0, 2.0]
    data = pd.DataFrame(
        {"rate": rates, "width": widths, "accuracy": [50.0, 60.0, 70.0], "number": [4, 2, 0]}
    )
    (panel,) = pairs.plane_chart(data, ("width", "w"), ("rate", "r"), ACCURACY).panels
    (points,) = panel.layers
    assert (points.x.tolist(), points.y.tolist()) == (rates, widths)
    assert (points.values.tolist(), points.trials.tolist()) == ([50, 60, 70], [4, 2, 0])
    assert [(axis.label, axis.log) for axis in (panel.x, panel.y)] == [("r", True), ("w", False)]


def test_a_range_by_another_hyperparameter_has_a_series_of_trials_for_each_level_of_that():
    data = pd.DataFrame(
        {
            "rate": [0.001, 0.01, 0.1, 0.02],
            "blocks": [4, 2, 4, 2],
            "accuracy": [50.0, 60.0, 70.0, 80.0],
            "number": [3, 1, 0, 2],
        }
    )
    chart = pairs.series_chart(data, ("blocks", "b"), ("rate", "r"), ACCURACY)
    (panel,) = chart.panels
    assert [
        (one.label, one.x.tolist(), one.y.tolist(), one.trials.tolist()) for one in panel.layers
    ] == [("2", [0.01, 0.02], [60, 80], [1, 2]), ("4", [0.001, 0.1], [50, 70], [3, 0])]
    assert (panel.x.label, panel.x.log, chart.legend_title) == ("r", True, "b")


def test_lines_of_equal_accuracy_have_a_scale_of_colours_with_two_percentage_points(run):
    alike = replace(run, measurements=run.measurements.assign(val_accuracy=0.5))
    assert next(parallel.parallel(alike)).chart.value_limits == (49, 51)
