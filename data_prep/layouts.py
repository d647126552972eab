"""Finds out which of the known layouts a source has, and reads it."""

import os
import tarfile
from pathlib import Path, PurePath

from data_prep.cifar_batches import find_in_batches, is_cifar
from data_prep.class_folders import find_pictures
from data_prep.idx_pictures import find_in_idx, idx_files
from data_prep.npz_pictures import find_in_npz
from data_prep.parquet_pictures import SUFFIX, find_in_parquet
from data_prep.pictures import SUFFIXES
from data_prep.places import TAR_SUFFIXES, is_archive
from data_prep.records import Found
from data_prep.rejections import BadInputError, Rejections
from data_prep.sources_file import Source, SourcesFile
from data_prep.torchvision_sets import find_in_torchvision


def find_source(source: Source, file: SourcesFile, rejections: Rejections) -> Found:
    """Read the pictures of a source that is not a prepared dataset, with the source's labels.

    Raises:
        MissingFileError: The source does not exist.
        BadInputError: The source cannot be read.
    """
    assert source.path is not None
    if source.torchvision is not None:
        return find_in_torchvision(source, file, rejections)
    if source.path.suffix.lower() == ".npz":
        return find_in_npz(source, file)
    if _is_parquet(source.path):
        return find_in_parquet(source, file)
    if is_cifar(source.path):
        return find_in_batches(source, file, rejections)
    if source.path.is_dir() and idx_files(source.path):
        return find_in_idx(source, file)
    _check_kind(source.path)
    return find_pictures(source, file, rejections)


def _check_kind(path: Path) -> None:
    if path.is_file() and not is_archive(path) and not tarfile.is_tarfile(path):
        raise BadInputError(
            f"{path}: is neither a folder nor an archive (.zip, {', '.join(TAR_SUFFIXES)}), nor "
            "Parquet or npz; docs/datasets.md lists what can be read"
        )


def _is_parquet(path: Path) -> bool:
    """Return whether a path is a Parquet file, or a folder with such files and no picture files."""
    if not path.is_dir():
        return path.suffix.lower() == SUFFIX
    found = False
    for _, _, names in os.walk(path):
        endings = {PurePath(name).suffix.lower() for name in names}
        if endings & set(SUFFIXES):
            return False
        found = found or SUFFIX in endings
    return found
