import base64
import json
import xml.etree.ElementTree as ET
from dataclasses import replace
from io import BytesIO

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from analysis.dataset import DatasetLeftOutError, class_counts, find_dataset, read_pictures
from analysis.figures import (
    comparisons,
    confusion,
    cost,
    curves,
    effects,
    folds,
    mistakes,
    pairs,
    parallel,
    progress,
)
from analysis.figures.chart import Axis, Chart, Layer, Panel, to_plain
from analysis.figures.dataset import dataset_figures, intensity_shares
from analysis.figures.drawing import file_stem, render
from analysis.figures.registry import FIGURES
from analysis.figures.style import BLUE
from analysis.run_data import read_confusion, read_probabilities, read_run
from tests.run_factory import CLASSES, IMAGE_SHAPE, SPLIT_SIZES, Factory


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    return read_run(Factory().write(place / "small", place / "data"))


def drawn_names(drawings):
    return [drawing.name for drawing in drawings]


@pytest.mark.parametrize("section", sorted(set(FIGURES) - {"folds"}))
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
    # The factory trains even numbers on half a device and odd ones on two, 2 s an epoch.
    devices = run.trials["number"].map(lambda number: (0.5, 2.0)[number % 2])
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
    assert np.nanmin(chart.places, axis=0).tolist() == [0] * 5
    assert np.nanmax(chart.places, axis=0).tolist() == [1] * 5
    kernel = run.comparable["kernel_size"].to_numpy(int)
    assert chart.places[:, 0].tolist() == ((kernel - 3) / 2).tolist()
    assert [text for _, text in chart.ticks[0]] == ["3", "5"]


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
    assert f"gives {count} of 400" in next(mistakes.mistakes(run)).caption


def test_a_run_of_a_few_models_shows_the_mistakes_of_each(run):
    few = replace(run, trials=run.completed.head(mistakes.FEW_MODELS))
    drawn = list(mistakes.mistakes(few))
    assert len({one.name for one in drawn}) == len(drawn) == mistakes.FEW_MODELS
    assert drawn[0].name == "mistakes"
    assert len(list(mistakes.mistakes(run))) == 1


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
    assert shares.tolist() == [[0.75, 0.25], [0.0, 0.0]]


def test_class_counts_come_from_the_manifest(run):
    counts = class_counts(find_dataset(run))
    assert list(counts.index) == list(CLASSES)
    assert counts.sum().to_dict() == SPLIT_SIZES


def test_intensities_count_every_training_pixel_once(run):
    found = read_pictures(find_dataset(run), samples=3)
    pixels = SPLIT_SIZES["train"] * IMAGE_SHAPE[0] * IMAGE_SHAPE[1]
    assert found.intensities.to_numpy().sum() == pixels
    assert intensity_shares(found.intensities).sum().to_numpy() == pytest.approx(100)
    mean = (np.arange(256) @ found.intensities / found.intensities.sum()).tolist()
    assert mean == sorted(mean)  # the factory draws each class brighter than the one before


def test_samples_are_training_pictures_of_their_class(run):
    dataset = find_dataset(run)
    rows = pq.read_table(dataset.path / "images.parquet").to_pandas()
    found = read_pictures(dataset, samples=3)
    for name, pictures in found.samples.items():
        own = set(rows[(rows["label"] == name) & (rows["split"] == "train")]["pixels"])
        assert len(pictures) == 3
        assert {picture.tobytes() for picture in pictures} <= own


def test_a_dataset_without_content_hashes_still_has_samples(run, tmp_path):
    found = find_dataset(run)
    table = pq.read_table(found.path / "images.parquet").drop_columns(["content_hash"])
    pq.write_table(table, tmp_path / "images.parquet")
    (tmp_path / "manifest.json").write_text((found.path / "manifest.json").read_text())
    samples = read_pictures(find_dataset(replace(run, data=tmp_path)), samples=3).samples
    assert {name: len(pictures) for name, pictures in samples.items()} == dict.fromkeys(CLASSES, 3)


def test_a_dataset_that_is_gone_or_changed_is_left_out_with_the_reason(run):
    gone = replace(run, provenance={"dataset": {"path": "nowhere", "fingerprint": "f" * 64}})
    with pytest.raises(DatasetLeftOutError, match="no longer at nowhere"):
        next(dataset_figures(gone))
    known = {**run.provenance["dataset"], "fingerprint": "0" * 64}
    with pytest.raises(DatasetLeftOutError, match="has changed since the run"):
        next(dataset_figures(replace(run, provenance={"dataset": known})))
    with pytest.raises(DatasetLeftOutError, match="names no dataset"):
        next(dataset_figures(replace(run, provenance={})))


def test_file_names_are_safe():
    assert file_stem("../a b/ü.png") == "a-b-.png"
