"""Reads CIFAR-10 and CIFAR-100 from their Python batches, the format that torchvision keeps."""

import pickle
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import IO, Any

import numpy as np

from data_prep.places import READ_ERRORS, members
from data_prep.records import SET_LABELS, Found, PictureReader, Record
from data_prep.rejections import BadInputError, Rejections
from data_prep.sources_file import Source, SourcesFile

TRAIN = ("train", *(f"data_batch_{number}" for number in range(1, 6)))
TEST = ("test", "test_batch")
METAS = ("meta", "batches.meta")
FOLDERS = ("cifar-10-batches-py", "cifar-100-python")
ARCHIVES = ("cifar-10-python.tar.gz", "cifar-100-python.tar.gz")
SHAPE = (3, 32, 32)
_NO_BATCH = "is not a CIFAR batch"
ALLOWED = frozenset(
    {
        ("numpy", "ndarray"), ("numpy", "dtype"), ("_codecs", "encode"),
        ("numpy.core.multiarray", "_reconstruct"), ("numpy._core.multiarray", "_reconstruct"),
    }
)  # fmt: skip
"""Names that a pickle may load; any other could run a program."""


def is_cifar(path: Path) -> bool:
    """Return whether a path is the folder or archive of batches, or a folder that holds one."""
    if path.is_dir():
        return path.name in FOLDERS or any((path / name).is_dir() for name in FOLDERS)
    return path.name in ARCHIVES


def find_in_batches(source: Source, file: SourcesFile, rejections: Rejections) -> Found:
    """Read all batches. In CIFAR-100, classes are the fine labels; coarse labels are a column.

    Raises:
        BadInputError: A batch is damaged or not a batch, or the file with the names is missing.
    """
    assert source.path is not None
    reader = PictureReader(source, file)
    names: Mapping[str, Sequence[str]] = {}
    batches: list[tuple[PurePosixPath, str, Mapping[str, Any]]] = []
    for member in members(source.path, rejections):
        if member.path.name in (*TRAIN, *TEST):
            batches.append((member.path, member.shown, _unpickled(member.open, member.shown)))
        elif member.path.name in METAS:
            names = _unpickled(member.open, member.shown)
    if not names or not batches:
        raise BadInputError(
            f"{source.path}: lacks {' or '.join(METAS)} or all batches; download it again"
        )
    records: list[Record] = []
    for path, shown, batch in sorted(batches, key=lambda batch: batch[0]):
        records += _records(path, shown, batch, names, reader, len(records))
    return Found(records=records, in_colour=reader.in_colour, rule=SET_LABELS)


def _records(
    path: PurePosixPath,
    shown: str,
    batch: Mapping[str, Any],
    names: Mapping[str, Sequence[str]],
    reader: PictureReader,
    start: int,
) -> Iterator[Record]:
    fine = "fine_" if "fine_labels" in batch else ""
    try:
        pixels = np.asarray(batch["data"], dtype=np.uint8).reshape(-1, *SHAPE).transpose(0, 2, 3, 1)
        labels = [names[f"{fine}label_names"][label] for label in batch[f"{fine}labels"]]
        coarse = [names["coarse_label_names"][label] for label in batch.get("coarse_labels", ())]
        rows = list(zip(pixels, labels, coarse or [""] * len(labels), strict=True))
    except (KeyError, IndexError, ValueError, TypeError) as error:
        raise BadInputError(f"{shown}: {_NO_BATCH} ({error}); download it again") from error
    split = "train" if path.name in TRAIN else "test"
    for row, (picture, label, above) in enumerate(rows):
        yield Record(
            name=f"{split}/{start + row:06}",
            shown=shown,
            row=row,
            label=label,
            picture=reader.from_pixels(np.ascontiguousarray(picture)),
            subset=split,
            columns={"coarse_label": above} if above else {},
        )


class _Unpickler(pickle.Unpickler):
    """Loads only arrays, texts and numbers."""

    def find_class(self, module: str, name: str) -> Any:
        if (module, name) not in ALLOWED:
            raise pickle.UnpicklingError(f"it holds {module}.{name}")
        return super().find_class(module, name)


def _unpickled(open_it: Any, shown: str) -> Mapping[str, Any]:
    try:
        stream: IO[bytes]
        with open_it() as stream:
            values = _Unpickler(stream, encoding="latin1").load()
    except (*READ_ERRORS, pickle.UnpicklingError, ValueError, AttributeError) as error:
        raise BadInputError(f"{shown}: {_NO_BATCH} ({error}); download it again") from error
    if not isinstance(values, dict):
        raise BadInputError(f"{shown}: {_NO_BATCH}; download it again")
    return values
