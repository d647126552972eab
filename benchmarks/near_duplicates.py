"""Measures the near-duplicate search: this version and the first one, on real pictures.

Needs `cifar10.tar.gz` with `cifar10_test_copies.csv` (test pictures of CIFAR-10 that people judged
to have a copy in train; Barz and Denzler 2020) and `fer2013plus.tar.gz`, in the folder FER_DATA.
docs/near_duplicates.md tells how the threshold was calibrated on both.
"""

import csv
import io
import os
import tarfile
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import psutil
from PIL import Image

from benchmarks.harness import Result, in_process
from data_prep.duplicates import SearchVersion, duplicate_groups
from data_prep.pictures import to_gray
from fairsweep.errors import MissingFileError

FACES = 100
SIDES = (48, 96, 160, 224)
CROP = 0.04
"""Share of a side that a crop lacks at each of its ends."""
SHEET_PAIRS = 200

Pictures = npt.NDArray[np.uint8]


def run() -> Iterator[Result]:
    """Count judged copies of CIFAR-10 that are found, then crops of faces."""
    for colour in (True, False):
        ours = in_process(judged_copies, "v2", colour)
        theirs = in_process(judged_copies, "v1", colour)
        yield Result(
            name=f"near_duplicates_{'colour' if colour else 'gray'}",
            unit="share of judged copies found",
            ours=ours["found"],
            others={"v1": theirs["found"]},
            smaller_is_better=False,
            details={"v2": ours, "v1": theirs},
        )
    ours, theirs = (in_process(crops_found, version) for version in ("v2", "v1"))
    yield Result(
        name="near_duplicates_crops",
        unit=f"of {FACES} faces and their crops found, mean of {len(SIDES)} sizes",
        ours=sum(ours.values()) / len(SIDES),
        others={"v1": sum(theirs.values()) / len(SIDES)},
        smaller_is_better=False,
        details={"v2": ours, "v1": theirs},
    )


def judged_copies(version: SearchVersion, colour: bool) -> dict[str, Any]:
    """Search CIFAR-10, and count the judged test pictures that share a group with a train one."""
    names, pictures = _archive("cifar10.tar.gz", ".jpg", "RGB")
    if not colour:
        pictures = to_gray(pictures)
    started = time.perf_counter()
    groups = duplicate_groups(pictures, version=version)
    seconds = time.perf_counter() - started
    in_test = np.array([name.startswith("test/") for name in names])
    leaks = in_test & np.isin(groups, groups[~in_test])
    with (_folder() / "cifar10_test_copies.csv").open() as file:
        judged = {row["file"] for row in csv.DictReader(file) if row["judgment"] == "near"}
    sheet = Path(tempfile.gettempdir()) / f"near_duplicates_{version}_{colour:d}.png"
    _draw_pairs(pictures, groups, sheet)
    return {
        "found": sum(name in judged for name in np.array(names)[leaks]) / len(judged),
        "test pictures with a copy in train": int(leaks.sum()),
        "groups": int((np.bincount(groups) > 1).sum()),
        "largest group": int(np.bincount(groups).max()),
        "seconds": round(seconds, 1),
        "memory after, GB": round(psutil.Process().memory_info().rss / 1e9, 2),
        "random pairs to look at": f"{sheet.name} in the folder for temporary files",
    }


def crops_found(version: SearchVersion) -> dict[str, Any]:
    """Return for each stored size how many faces are grouped with their crop."""
    _, faces = _archive("fer2013plus.tar.gz", ".png", "L")
    faces = faces[:: len(faces) // FACES][:FACES]
    found: dict[str, Any] = {}
    for side in SIDES:
        margin = CROP * faces.shape[1]
        box = (margin, margin, faces.shape[2] - margin, faces.shape[1] - margin)
        stored = [_resized(face, side) for face in faces]
        crops = [_resized(face, side, box) for face in faces]
        groups = duplicate_groups(np.stack([*stored, *crops]), version=version)
        found[str(side)] = int((groups[:FACES] == groups[FACES:]).sum())
    return found


def _resized(
    picture: Pictures, side: int, box: tuple[float, float, float, float] | None = None
) -> Pictures:
    image = Image.fromarray(picture)
    return np.asarray(image.resize((side, side), Image.Resampling.BICUBIC, box=box))


def _archive(name: str, suffix: str, mode: str) -> tuple[list[str], Pictures]:
    """Read all pictures of an archive, in the order of their names."""
    path = _folder() / name
    if not path.is_file():
        raise MissingFileError(f"{path} does not exist; set FER_DATA to the folder that holds it")
    pictures = {}
    with tarfile.open(path) as archive:
        for member in archive:
            if member.name.endswith(suffix):
                content = archive.extractfile(member)
                assert content is not None
                image = Image.open(io.BytesIO(content.read())).convert(mode)
                pictures[member.name.split("/", 1)[1]] = np.asarray(image)
    names = sorted(pictures)
    return names, np.stack([pictures[one] for one in names])


def _folder() -> Path:
    return Path(os.environ.get("FER_DATA", Path(__file__).parent / "../../shared/data"))


def _draw_pairs(pictures: Pictures, groups: npt.NDArray[np.int64], path: Path) -> None:
    """Draw random pairs, each two pictures of one group, to be looked at."""
    order = np.argsort(groups, kind="stable")
    parts = np.split(order, np.flatnonzero(np.diff(groups[order])) + 1)
    several = [rows for rows in parts if len(rows) > 1]
    generator = np.random.default_rng(0)
    pairs = [
        generator.choice(several[place], 2, replace=False)
        for place in generator.integers(len(several), size=SHEET_PAIRS)
    ]
    drawn = np.stack([np.concatenate(list(pictures[pair]), axis=1) for pair in pairs])
    drawn = np.pad(drawn, ((0, 0), (2, 2), (2, 2), *[(0, 0)] * (drawn.ndim - 3)))
    lines = [
        np.concatenate(list(line), axis=1) for line in np.array_split(drawn, SHEET_PAIRS // 10)
    ]
    Image.fromarray(np.concatenate(lines)).resize(
        (2 * lines[0].shape[1], 2 * sum(map(len, lines)))
    ).save(path)
