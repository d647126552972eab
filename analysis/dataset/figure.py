"""Figures of the dataset: class counts, samples of each class, pixel values."""

from collections.abc import Iterator
from functools import partial

from analysis.drawing.drawing import Drawing
from analysis.run.dataset import IMAGES_FILE, find_dataset
from analysis.run.run_data import RunData
from fairsweep.class_balance import balance_words
from fairsweep.drawing import class_counts, pixel_values, samples
from fairsweep.drawing.training_pictures import read_training_pictures


def dataset_figures(run: RunData) -> Iterator[Drawing]:
    """Yield class counts, pixel-value histograms and sample pictures.

    Raises:
        DatasetLeftOutError: The dataset is missing or has changed since the run.
    """
    dataset = find_dataset(run)
    classes, counts = dataset.classes, dataset.counts
    pictures = sum(sum(of_class.values()) for of_class in counts.values())
    yield Drawing(
        name="class_counts",
        title="Pictures per class and split",
        caption=f"Dataset {dataset.manifest['name']}: {pictures:,} pictures, "
        f"labelled by the rule {dataset.manifest['label_rule']}, split "
        f"{dataset.manifest['split_method']}.{class_counts.left_out_words(counts)} "
        f"{balance_words(counts)}",
        draw=partial(class_counts.draw_class_counts, counts),
    )
    many = len(classes) > pixel_values.MOST_CURVES
    shown = read_training_pictures(dataset.path / IMAGES_FILE, classes, dataset.pixel_shape)
    yield Drawing(
        name="pixel_intensity",
        title="Pixel intensity" if many else "Pixel intensity per class",
        caption=f"{shown.words}, {pixel_values.how_to_read(len(classes))}",
        draw=partial(pixel_values.draw_pixel_values, shown.values),
    )
    yield Drawing(
        name="samples",
        title="Sample pictures of each class",
        caption=f"Drawn at random from the {shown.all:,} training pictures, "
        f"{samples.how_to_read(len(classes))}.",
        draw=partial(samples.draw_samples, shown.samples),
    )
