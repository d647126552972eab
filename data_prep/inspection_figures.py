"""Writes the figures of a prepared dataset, and a list of its duplicates, into a folder."""

import csv
import io
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow.parquet as pq

from data_prep.inspection import Copies, Inspection, Rows, copies_across_words, most_frequent
from data_prep.manifest import IMAGES_FILE, DatasetManifest
from fairsweep.class_balance import balance_words
from fairsweep.durable import replaced
from fairsweep.errors import MissingFileError, UserError

FILES = (
    "class_counts.png",
    "pixel_values.png",
    "samples.png",
    "rejected.png",
    "duplicates.png",
    "leaks.png",
    "duplicates.csv",
)


def write_figures(
    directory: Path, manifest: DatasetManifest, found: Inspection, out: Path
) -> list[str]:
    """Write the figures that apply to a dataset; return the names of the files.

    Figures of an earlier call in ``out`` are replaced, or removed where they no longer apply.

    Raises:
        MissingFileError: The dataset has no pictures.
        UserError: ``out`` is a file.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"--figures must be a directory, but {out} is a file")
    if found.copies is None:
        raise MissingFileError(f"{directory / IMAGES_FILE} is missing, and figures show pictures")
    made = dict(_made(directory, manifest, found, found.copies))
    out.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        if name not in made:
            (out / name).unlink(missing_ok=True)
            continue
        with replaced(out / name) as partial_file:
            partial_file.write_bytes(made[name])
    return list(made)


def _made(
    directory: Path, manifest: DatasetManifest, found: Inspection, copies: Copies
) -> Iterator[tuple[str, bytes]]:
    """Yield name and content of each file."""
    # Drawing takes a second to import, and matplotlib may not be installed.
    from fairsweep.drawing import class_counts, pixel_values, samples
    from fairsweep.drawing.png import png
    from fairsweep.drawing.reasons import draw_reasons
    from fairsweep.drawing.training_pictures import read_training_pictures

    counts = manifest.counts
    name = f"{manifest.name}: {manifest.images:,} pictures"
    yield (
        "class_counts.png",
        png(
            partial(class_counts.draw_class_counts, counts),
            f"{name}, split {manifest.split_method!r}.{class_counts.left_out_words(counts)} "
            f"{balance_words(counts)}",
        ),
    )
    file, many = directory / IMAGES_FILE, len(manifest.classes)
    shown = read_training_pictures(file, manifest.classes, manifest.pixel_shape)
    yield (
        "pixel_values.png",
        png(
            partial(pixel_values.draw_pixel_values, shown.values),
            f"{shown.words} of {manifest.name}, {pixel_values.how_to_read(many)}",
        ),
    )
    yield (
        "samples.png",
        png(
            partial(samples.draw_samples, shown.samples),
            f"Drawn at random from the {shown.all:,} training pictures of {manifest.name}, "
            f"{samples.how_to_read(many)}.",
        ),
    )
    if found.reasons:
        yield (
            "rejected.png",
            png(
                partial(draw_reasons, most_frequent(found.reasons)),
                f"{sum(found.reasons.values()):,} rows were left out of {manifest.name}; "
                "rejected.csv lists each.",
            ),
        )
    yield from _of_copies(file, manifest, copies)


def _of_copies(
    file: Path, manifest: DatasetManifest, copies: Copies
) -> Iterator[tuple[str, bytes]]:
    from fairsweep.drawing.copies import GROUPS, MEMBERS, Copy, draw_copies
    from fairsweep.drawing.png import png

    if not copies.several:
        return
    mixed = _spread(copies.mixed, GROUPS)
    agreed = [rows for rows in copies.several if len({copies.labels[row] for row in rows}) == 1]
    wanted = {
        "duplicates.png": [
            _varied(rows, copies.labels) for rows in (*mixed, *_spread(agreed, GROUPS - len(mixed)))
        ],
        "leaks.png": [_varied(rows, copies.splits) for rows in _spread(copies.across, GROUPS)],
    }
    needed = np.unique(np.concatenate([rows for groups in wanted.values() for rows in groups]))
    pixels = read_pixels(file, needed, manifest.pixel_shape)
    captions = {
        "duplicates.png": f"{len(wanted['duplicates.png']):,} of {len(copies.several):,} groups of "
        f"duplicates of {manifest.name}; the {len(copies.mixed):,} whose labels differ come first",
        "leaks.png": f"{len(wanted['leaks.png']):,} of the {len(copies.across):,} groups of "
        f"duplicates of {manifest.name} that are in several splits: "
        f"{copies_across_words(copies.leaks())}",
    }
    for name, groups in wanted.items():
        if groups:
            drawn = [
                [
                    Copy(label=copies.labels[row], split=copies.splits[row], pixels=pixels[row])
                    for row in rows
                ]
                for rows in groups
            ]
            more = f" Of a larger group {MEMBERS} pictures are shown. duplicates.csv lists all."
            yield name, png(partial(draw_copies, drawn), f"{captions[name]}.{more}")
    yield "duplicates.csv", _listed(copies)


def read_pixels(
    file: Path, rows: Rows, pixel_shape: Sequence[int]
) -> dict[int, npt.NDArray[np.uint8]]:
    """Read the pixels of a few rows, one row group of the file at a time."""
    found: dict[int, npt.NDArray[np.uint8]] = {}
    parquet, start = pq.ParquetFile(file), 0
    for group in range(parquet.num_row_groups):
        stop = start + parquet.metadata.row_group(group).num_rows
        inside = rows[(rows >= start) & (rows < stop)]
        if len(inside):
            column = parquet.read_row_group(group, columns=["pixels"])["pixels"]
            for row in inside.tolist():
                picture = np.frombuffer(column[row - start].as_py(), np.uint8)
                found[row] = picture.reshape(pixel_shape)
        start = stop
    return found


def _spread(groups: list[Rows], most: int) -> list[Rows]:
    """Return at most ``most`` groups, spread evenly over all."""
    places = np.linspace(0, len(groups) - 1, most).round().astype(int)
    return groups if len(groups) <= most else [groups[place] for place in places]


def _varied(rows: Rows, texts: Sequence[str]) -> Rows:
    """Return the rows, one of each text first, so that those that are drawn show all texts."""
    _, firsts = np.unique([texts[row] for row in rows], return_index=True)
    first = rows[np.sort(firsts)]
    return np.concatenate([first, rows[~np.isin(rows, first)]])


def _listed(copies: Copies) -> bytes:
    text = io.StringIO(newline="")
    writer = csv.writer(text)
    writer.writerow(("duplicate_group", "image_id", "split", "label"))
    writer.writerows(copies.rows())
    return text.getvalue().encode()
