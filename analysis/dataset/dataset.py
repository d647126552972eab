"""Reads the dataset that a run was trained on, for the figures that show pictures."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq

from analysis.run.dataset import IMAGES_FILE, Dataset


@dataclass(frozen=True, kw_only=True, eq=False)
class Pictures:
    """The result of one pass over the training pictures."""

    samples: Mapping[str, npt.NDArray[np.uint8]]
    """Class → (k, height, width) gray values or (k, height, width, 3) colours of k training
    pictures."""
    intensities: Mapping[str, pd.DataFrame]
    """Channel (gray; or red, green, blue) → number of pixels in all training pictures: a row per
    value (0 to 255), a column per class."""


def class_counts(dataset: Dataset) -> pd.DataFrame:
    """Return the number of pictures: a row per class, a column per split."""
    counts = pd.DataFrame(dataset.manifest["counts"])
    return counts.reindex(dataset.classes).fillna(0).astype(int)


def read_pictures(dataset: Dataset, samples: int) -> Pictures:
    """Read the training pictures once, in batches, and keep ``samples`` of each class.

    The pictures with the smallest hashes are kept, which is a random but reproducible choice.
    """
    chosen = _chosen(dataset, samples)
    kept: dict[str, list[npt.NDArray[np.uint8]]] = {name: [] for name in dataset.classes}
    channels = dataset.channels
    counts = {
        channel: {name: np.zeros(256, np.int64) for name in dataset.classes} for channel in channels
    }
    for ids, labels, pixels in _batches(dataset):
        for name in dataset.classes:
            of_class = pixels[labels == name].reshape(-1, len(channels))
            for place, channel in enumerate(channels):
                counts[channel][name] += np.bincount(of_class[:, place], minlength=256)
        for row in np.flatnonzero(np.isin(ids, chosen)):
            kept[labels[row]].append(pixels[row])
    shape = (-1, *dataset.pixel_shape)
    stacked = {name: np.array(rows, np.uint8).reshape(shape) for name, rows in kept.items()}
    intensities = {channel: pd.DataFrame(of_class) for channel, of_class in counts.items()}
    return Pictures(samples=stacked, intensities=intensities)


def read_rows(dataset: Dataset, image_ids: Sequence[str]) -> pd.DataFrame:
    """Read the rows of a few pictures; ids that the dataset does not have are left out.

    Returns:
        A row per picture, its ``image_id`` as index: ``pixels`` (bytes) and all vote columns.
    """
    file = dataset.path / IMAGES_FILE
    votes = [name for name in pq.read_schema(file).names if name.startswith("votes_")]
    chosen = ds.field("image_id").isin(list(image_ids))
    table = ds.dataset(file).to_table(columns=["image_id", "pixels", *votes], filter=chosen)
    frame: pd.DataFrame = table.to_pandas()
    return frame.set_index("image_id")


def _chosen(dataset: Dataset, samples: int) -> list[str]:
    """Return the ids of the pictures to keep, without copies if the dataset has hashes."""
    file = dataset.path / IMAGES_FILE
    order = ["content_hash", "image_id"]
    order = [name for name in order if name in pq.read_schema(file).names]
    frame = pd.read_parquet(file, columns=list({"split", "label", "image_id", *order}))
    train = frame[frame["split"] == "train"]
    if "content_hash" not in order:  # a fixed order that is unrelated to the content
        train = train.assign(content_hash=pd.util.hash_array(train["image_id"].to_numpy(object)))
    distinct = train.sort_values(["content_hash", "image_id"]).drop_duplicates("content_hash")
    return distinct.groupby("label").head(samples)["image_id"].tolist()


def _batches(
    dataset: Dataset,
) -> Iterator[tuple[npt.NDArray[Any], npt.NDArray[Any], npt.NDArray[np.uint8]]]:
    """Yield ids (n,), labels (n,) and pixels (n, …) of the training pictures, in batches."""
    file = pq.ParquetFile(dataset.path / IMAGES_FILE)
    for batch in file.iter_batches(4096, columns=["image_id", "split", "label", "pixels"]):
        train = batch.filter(pa.compute.equal(batch["split"], "train"))
        pixels = np.frombuffer(b"".join(train["pixels"].to_pylist()), np.uint8)
        ids, labels = (np.array(train[name].to_pylist(), object) for name in ("image_id", "label"))
        yield ids, labels, pixels.reshape(len(ids), -1)
