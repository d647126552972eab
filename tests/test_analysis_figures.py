import xml.etree.ElementTree as ET
from dataclasses import replace
from io import BytesIO

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest
from PIL import Image

from analysis.dataset import DatasetLeftOutError, class_counts, find_dataset, read_pictures
from analysis.figures import confusion, curves, effects, pairs
from analysis.figures.dataset import dataset_figures, intensity_shares
from analysis.figures.drawing import file_stem, render
from analysis.figures.registry import FIGURES
from analysis.run_data import read_run
from tests.run_factory import CLASSES, IMAGE_SHAPE, SPLIT_SIZES, Factory


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    place = tmp_path_factory.mktemp("runs")
    return read_run(Factory().write(place / "small", place / "data"))


def drawn_names(drawings):
    return [drawing.name for drawing in drawings]


@pytest.mark.parametrize("section", FIGURES)
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
    assert data["trial_id"].nunique() == len(run.trials) - 1  # one failed before its first epoch
    assert set(data["status"]) == {"COMPLETED", "EARLY_STOPPED", "DIVERGED"}
    caption = next(curves.overview(run)).caption
    assert f"{len(run.trials) - 1} trials" in caption
    assert "rungs" in caption


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
