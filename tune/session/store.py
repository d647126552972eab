"""Reads datasets from object stores, and copies datasets to each node's own disk.

URLs are those of pyarrow: ``s3://bucket/path``, ``gs://bucket/path``, ``file:///path``. Credentials
and endpoints are read from the same places as by the clouds' own tools (``AWS_ENDPOINT_URL``, …).
"""

import fcntl
import os
import shutil
import stat
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.fs as pafs

from data_prep.manifest import MANIFEST_FILE, DatasetManifest
from data_prep.reader import ImageDataset, read_dataset
from fairsweep.errors import MissingFileError, UserError, one_line
from fairsweep.urls import check_url, is_url

STAGE = "TUNE_STAGE"
"""Environment variable with a folder on each node's own disk, where datasets are copied before they
are read."""


def is_staged(place: str) -> bool:
    """Return whether each node reads its own copy of the dataset at ``place``."""
    return is_url(place) or STAGE in os.environ


def open_dataset(place: str | Path) -> ImageDataset:
    """Read the dataset in a directory or at a URL; a staged dataset is copied to this node first.

    Raises:
        MissingFileError: There is no dataset.
        UserError: The URL is not the URL of a store, or the manifest cannot be read.
    """
    place = str(place)
    place = place if is_url(place) else str(Path(place).absolute())
    directory = local_copy(place) if is_staged(place) else Path(place)
    return replace(read_dataset(directory, unpack_to=_node_folder), place=place)


def read_manifest(place: str | Path) -> DatasetManifest:
    """Read a dataset's manifest in a directory or at a URL; raises the errors of `open_dataset`."""
    place = str(place)
    if not is_url(place):
        return DatasetManifest.read(Path(place))
    with tempfile.TemporaryDirectory() as folder:
        _fetch(place, Path(folder), only=MANIFEST_FILE)
        return DatasetManifest.read(Path(folder))


def local_copy(place: str) -> Path:
    """Return a copy of a dataset on this node's own disk; the first caller makes it."""
    fingerprint = read_manifest(place).fingerprint
    cache = _node_folder()
    copy = cache / fingerprint
    with (cache / f"{fingerprint}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not copy.exists():
            partial = cache / f"{fingerprint}.partial"
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir()
            _fetch(place, partial)
            partial.rename(copy)
    return copy


def _node_folder() -> Path:
    """Return the folder for datasets on this node's own disk, which nobody else can write to.

    Raises:
        UserError: The path exists and is a link, a file, or a folder that others can write to.
    """
    cache = Path(os.environ.get(STAGE, tempfile.gettempdir())) / f"tune-datasets-{os.getuid()}"
    cache.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError):
        cache.mkdir(mode=0o700)
    found = cache.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid() or found.st_mode & 0o022:
        raise UserError(
            f"{cache} must be a folder of your own that nobody else can write to, but is not, so "
            f"the datasets in it cannot be trusted; remove it, or set {STAGE} to another folder"
        )
    return cache


def open_store(url: str) -> tuple[pafs.FileSystem, str]:
    """Return the filesystem of a URL, and the path in it.

    Raises:
        UserError: The URL is not the URL of a store, holds keys, or cannot be reached.
    """
    check_url(url)
    try:
        store, path = pafs.FileSystem.from_uri(url if is_url(url) else str(Path(url).absolute()))
    except pa.ArrowInvalid as error:
        raise UserError(
            f"{url} is not the URL of a store; it must begin with s3://, gs:// or file://"
        ) from error
    except OSError as error:
        reason = one_line(error)
        raise UserError(
            f"{url} cannot be reached ({reason}); check its name, the network and your credentials"
        ) from error
    return store, path.rstrip("/")


def _fetch(place: str, target: Path, only: str = "") -> None:
    """Copy the files of a dataset into a folder."""
    store, base = open_store(place)
    try:
        if only:
            pafs.copy_files(f"{base}/{only}", str(target / only), store, pafs.LocalFileSystem())
        else:
            pafs.copy_files(base, str(target), store, pafs.LocalFileSystem())
    except FileNotFoundError as error:
        raise MissingFileError(
            f"{place} is not a prepared dataset (no {MANIFEST_FILE}); "
            "make one with `python -m data_prep` and copy its folder there"
        ) from error
    except OSError as error:
        raise UserError(f"cannot read {place}: {one_line(error)}") from error
