"""Reads a prepared dataset as one of several sources, and maps its classes to the new ones."""

from collections import Counter

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from data_prep.collecting import SourceImages, check_found
from data_prep.group_columns import OWN_COLUMNS
from data_prep.manifest import IMAGES_FILE, DatasetManifest
from data_prep.pictures import resize_pixels, to_gray
from data_prep.reader import read_dataset
from data_prep.rejections import Rejection, Rejections
from data_prep.sources_file import Source, SourcesFile


def read_prepared(source: Source, file: SourcesFile, rejections: Rejections) -> SourceImages:
    """Read a prepared dataset, with its votes, groups and label distributions.

    Raises:
        FileNotFoundError: There is no dataset.
        UserError: The dataset does not match the map, or the counts of a complete copy.
    """
    assert source.dataset is not None
    dataset = read_dataset(source.dataset)
    theirs = dataset.manifest.classes
    counts = np.bincount(dataset.labels, minlength=len(theirs)).tolist()
    found = Counter({(name, ""): count for name, count in zip(theirs, counts, strict=True)})
    check_found(source, file, found)
    mapping = _mapping(source, file, theirs)
    wanted = mapping.sum(axis=1)[dataset.labels] > 0
    rejections.leave_out(
        Rejection(image_id, "", None, f"{theirs[label]!r} is not mapped to a class")
        for image_id, label in zip(
            dataset.image_ids[~wanted].tolist(), dataset.labels[~wanted].tolist(), strict=True
        )
    )
    rows = np.flatnonzero(wanted)
    labels = mapping.argmax(axis=1)[dataset.labels[rows]]
    soft = None
    if dataset.soft_labels is not None:
        soft = _mapped(dataset.soft_labels[rows], mapping, labels)
    return SourceImages(
        ids=dataset.image_ids[rows].tolist(),
        pixels=_pixels(dataset.pixels[rows], file),
        labels=labels,
        columns=_columns(source, dataset.manifest.image_shape).take(pa.array(rows)),
        found=found,
        soft_labels=soft,
        given=dataset.splits[rows],
        is_official=dataset.manifest.split_method == "given",
    )


def labels_of(source: Source) -> dict[str, int]:
    """Return the classes of a prepared dataset, with the pictures of each."""
    assert source.dataset is not None
    counts = Counter[str]()
    for of_class in DatasetManifest.read(source.dataset).counts.values():
        counts.update(of_class)
    return dict(counts)


def _pixels(pixels: npt.NDArray[np.uint8], file: SourcesFile) -> npt.NDArray[np.uint8]:
    """Convert pictures to the size of the new dataset, and to gray or colour."""
    if file.colour and pixels.ndim == 3:
        pixels = np.repeat(pixels[..., None], 3, axis=-1)
    elif not file.colour and pixels.ndim == 4:
        pixels = to_gray(pixels)
    size = file.pixel_shape[:2]
    return np.array([resize_pixels(picture, (size[0], size[1])) for picture in pixels])


def _mapping(source: Source, file: SourcesFile, theirs: tuple[str, ...]) -> npt.NDArray[np.float32]:
    """Return (their classes, our classes): 1 for a mapped class; a row of 0 is left out."""
    ours = [source.class_of(name, file.classes) for name in theirs]
    return np.array([[name == own for name in file.classes] for own in ours], dtype=np.float32)


def _mapped(
    soft: npt.NDArray[np.float32], mapping: npt.NDArray[np.float32], labels: npt.NDArray[np.int64]
) -> npt.NDArray[np.float32]:
    """Add the shares that are mapped to one class; rescale for the shares that are left out."""
    ours = soft @ mapping
    total = ours.sum(axis=1, keepdims=True)
    certain = np.eye(mapping.shape[1], dtype=np.float32)[labels]
    return np.where(total > 0, ours / np.maximum(total, 1e-12), certain).astype(np.float32)


def _columns(source: Source, image_shape: tuple[int, int]) -> pa.Table:
    assert source.dataset is not None
    table = pq.read_table(source.dataset / IMAGES_FILE)
    table = table.drop_columns([name for name in table.column_names if name in OWN_COLUMNS])
    for name, length in zip(("height", "width"), image_shape, strict=True):
        if name not in table.column_names:
            cells = pa.array(np.full(table.num_rows, length), pa.int32())
            table = table.append_column(name, cells)
    return table.replace_schema_metadata()
