"""Prepares the pictures of one place, whatever its layout, without a sources file."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Unpack

from pydantic import ValidationError

from data_prep.folders import PrepareOptions, prepare_sources
from data_prep.manifest import MANIFEST_FILE, DatasetManifest
from data_prep.sources_file import Source, SourcesFile, broken_rule
from data_prep.trees import TABLE_SUFFIXES
from fairsweep.errors import UserError


def prepare_images(
    path: Path,
    *,
    out: Path,
    about_source: Mapping[str, Any],
    about_dataset: Mapping[str, Any],
    **options: Unpack[PrepareOptions],
) -> DatasetManifest:
    """Prepare a dataset from one place.

    Args:
        path: Class folders, pictures with a table of labels (or that table), Parquet files with
            pictures, or an npz file; folders may be in an archive. With ``torchvision`` in
            ``about_source``, the root of its sets.
        out: Directory to write, which must not hold anything yet.
        about_source: Fields of `Source`; None for its default.
        about_dataset: Fields of `SourcesFile`; None for its default.
        options: `data_prep.folders.PrepareOptions`.

    Raises:
        FileNotFoundError: A file does not exist.
        UserError: The files break a rule, or ``out`` cannot be written.
    """
    source = {"name": _name(path), "path": path, **_given(about_source)}
    if source.get("torchvision"):
        source["name"] = source["torchvision"]  # A root has no name of its own.
    if (path / MANIFEST_FILE).is_file():
        raise UserError(
            f"{path} is a prepared dataset already; train on it, or merge it with others by a "
            "sources file (folders)"
        )
    if path.suffix.lower() in TABLE_SUFFIXES:
        source = {"labels": path, **source, "path": path.parent}
    try:
        file = SourcesFile(sources=(Source.model_validate(source),), **_given(about_dataset))
    except ValidationError as error:
        place = "-".join(str(part) for part in error.errors()[0]["loc"]).replace("_", "-")
        option = f"--{place}: " if place else ""
        raise UserError(f"{option}{broken_rule(error)}") from None
    return prepare_sources(file, out=out, **options)


def _given(fields: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value is not None}


def _name(path: Path) -> str:
    """Return a name for the source, which begins the ids of its pictures."""
    return re.sub(r"[^\w-]+", "-", path.absolute().name.split(".")[0]).strip("-") or "images"
