"""Draws a synthetic FER2013: faces, ten taggers' votes, and files in Kaggle's and FER+'s formats.

A person's feelings are a mixture of the basic emotions. The face shows them and the taggers guess
them, so votes disagree most about ambiguous faces.
"""

import csv
import tempfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data_prep.duplicates import DEFAULT_SEARCH, SearchVersion
from data_prep.faces import SIDE, Expressions, draw_faces
from data_prep.fer2013 import prepare_fer2013
from data_prep.manifest import DatasetManifest
from data_prep.votes import USAGES, VOTE_NAMES
from fairsweep.disk_space import enough_space
from fairsweep.errors import UserError

DEFAULT_IMAGES = 4000
USAGE_SHARES = (0.8, 0.1, 0.1)
COPIES = 0.03
NEAR_COPIES = 0.03
NO_FACES = 0.01
UNKNOWN_SHARE = 0.03
"""Mean share of votes for "unknown"; the share varies between pictures."""
TAGGERS = 10

EMOTIONS = VOTE_NAMES[:8]
# Share of people, their mean feelings in the order of EMOTIONS (neutral, happiness, surprise,
# sadness, anger, disgust, fear, contempt), and their attention.
MOODS: dict[str, tuple[float, tuple[float, ...], float]] = {
    "angry": (0.23, (0.10, 0.00, 0.03, 0.05, 0.70, 0.08, 0.02, 0.02), 0.5),
    "weary": (0.23, (0.36, 0.00, 0.00, 0.58, 0.02, 0.02, 0.00, 0.02), 0.0),
    "attentive": (0.17, (0.91, 0.03, 0.04, 0.00, 0.00, 0.00, 0.00, 0.02), 1.0),
    "idle": (0.27, (0.82, 0.01, 0.01, 0.10, 0.05, 0.00, 0.00, 0.01), 0.3),
    "happy": (0.04, (0.10, 0.85, 0.05, 0.00, 0.00, 0.00, 0.00, 0.00), 0.5),
    "surprised": (0.03, (0.05, 0.10, 0.75, 0.00, 0.00, 0.00, 0.10, 0.00), 0.8),
    "afraid": (0.03, (0.05, 0.00, 0.25, 0.10, 0.00, 0.00, 0.60, 0.00), 0.8),
}
CONCENTRATION = 40.0
"""Concentration of the Dirichlet distribution of feelings around their mean."""
HABIT = 0.12
"""Standard deviation of a face's expression that does not depend on feelings."""

Floats = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]


@dataclass(frozen=True, kw_only=True, eq=False)
class RawFaces:
    """n drawn pictures with their votes."""

    pixels: Pixels
    """(n, 48, 48) gray values."""
    votes: npt.NDArray[np.int64]
    """(n, 10) votes in the order of ``VOTE_NAMES``."""


def prepare_synthetic(
    *,
    out: Path,
    images: int = DEFAULT_IMAGES,
    seed: int = 0,
    near_duplicates: bool = True,
    duplicates: SearchVersion = DEFAULT_SEARCH,
    name: str | None = None,
) -> DatasetManifest:
    """Draw faces and prepare them like FER2013.

    Args:
        out: Directory to write, which must be empty or missing.
        images: Number of pictures to draw; about four in five of them get a class.
        seed: Seed of pictures, votes, split and folds.
        near_duplicates: Whether to look for near-identical pictures too.
        duplicates: Version of the search for near-identical pictures.
        name: Name of the dataset; by default that of ``out``.

    Raises:
        UserError: There are too few pictures to split, or ``out`` cannot be written.
    """
    with tempfile.TemporaryDirectory(prefix="synthetic-faces-") as folder:
        with enough_space(f"the drawn pictures in {folder}", "point TMPDIR to another disk"):
            pictures, votes = write_raw(Path(folder), draw_raw(images, seed))
        return prepare_fer2013(
            images=pictures,
            votes=votes,
            out=out,
            split="grouped",
            seed=seed,
            near_duplicates=near_duplicates,
            duplicates=duplicates,
            name=name,
        )


def draw_raw(count: int, seed: int) -> RawFaces:
    """Draw ``count`` pictures and their votes, including copies and pictures without a face.

    Raises:
        UserError: ``count`` is not positive.
    """
    if count < 1:
        raise UserError(f"images must be at least 1, but got {count}")
    generator = np.random.default_rng(seed)
    feelings, attention = _people(count, generator)
    sources = _plant_copies(count, generator)
    pixels = draw_faces(_express(feelings, attention, generator), generator)[sources]
    near = (sources != np.arange(count)) & (generator.random(count) < 0.5)
    pixels[near] = _print_again(pixels[near], generator)
    no_face = generator.random(count) < NO_FACES
    shuffled = generator.permuted(pixels[no_face].reshape(-1, SIDE * SIDE), axis=1)
    pixels[no_face] = shuffled.reshape(-1, SIDE, SIDE)
    return RawFaces(pixels=pixels, votes=_vote(feelings[sources], no_face, generator))


def write_raw(folder: Path, faces: RawFaces) -> tuple[Path, Path]:
    """Write ``fer2013.csv`` and ``fer2013new.csv`` into ``folder``; return their paths."""
    count = len(faces.pixels)
    ends = np.cumsum(np.array(USAGE_SHARES) * count).round().astype(int)
    usages = [USAGES[int(np.searchsorted(ends, row, side="right"))] for row in range(count)]
    digits = np.arange(256).astype(str)
    texts = (" ".join(digits[picture.reshape(-1)].tolist()) for picture in faces.pixels)
    pictures, votes = folder / "fer2013.csv", folder / "fer2013new.csv"
    with pictures.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("emotion", "pixels", "Usage"))
        writer.writerows((0, text, usage) for text, usage in zip(texts, usages, strict=True))
    with votes.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("Usage", "Image name", *VOTE_NAMES))
        for row, (usage, counts) in enumerate(zip(usages, faces.votes.tolist(), strict=True)):
            name = "" if counts[-1] == TAGGERS else f"fer{row:07d}.png"
            writer.writerow((usage, name, *counts))
    return pictures, votes


def _people(count: int, generator: np.random.Generator) -> tuple[Floats, Floats]:
    """Draw (n, 8) feelings that add up to 1, and (n,) attention; some people mix two moods."""
    shares, means, attention = (np.array(part) for part in zip(*MOODS.values(), strict=True))
    first, second = generator.choice(len(shares), (2, count), p=shares)
    blend = generator.beta(0.6, 5, count)
    mean = (1 - blend[:, None]) * means[first] + blend[:, None] * means[second]
    gammas = generator.standard_gamma(np.maximum(mean * CONCENTRATION, 1e-9))
    feelings = gammas / gammas.sum(axis=1, keepdims=True)
    return feelings, (1 - blend) * attention[first] + blend * attention[second]


def _plant_copies(count: int, generator: np.random.Generator) -> npt.NDArray[np.int64]:
    """Return the (n,) source of each picture: itself, or for copies another picture."""
    sources = np.arange(count)
    copies = np.flatnonzero(generator.random(count) < COPIES + NEAR_COPIES)
    sources[copies] = sources[generator.integers(0, count, len(copies))]
    return sources


def _express(feelings: Floats, attention: Floats, generator: np.random.Generator) -> Expressions:
    """Turn feelings into expressions; people show them with different intensity and habits."""
    _, happiness, surprise, sadness, anger, disgust, fear, _ = feelings.T
    shouts = anger * generator.integers(0, 2, len(anger))
    means = {
        "frown": 1.1 * anger + 0.6 * disgust - 0.8 * sadness - 0.5 * fear + 0.25 * attention,
        "brows_up": surprise + 0.8 * fear - 0.5 * anger - 0.3 * attention,
        "lids_down": 0.9 * sadness + 0.4 * anger + 0.3 * happiness - surprise - fear
        + 0.3 * (0.5 - attention),
        "gaze_away": 1.3 * np.clip(0.6 - attention, 0, 1),
        "smile": happiness - 0.9 * sadness - 0.7 * anger - 0.4 * disgust,
        "mouth_open": surprise + 0.6 * fear + 0.3 * happiness + shouts,
        "lips_pressed": 1.2 * attention - 0.3,
    }  # fmt: skip
    intensity = generator.uniform(0.7, 1.2, len(feelings))
    shown = {
        name: (intensity * mean + generator.normal(0, HABIT, len(mean))).astype(np.float32)
        for name, mean in means.items()
    }
    return Expressions(**shown)


def _print_again(pixels: Pixels, generator: np.random.Generator) -> Pixels:
    """Shift pictures by up to two pixels and change their contrast, like other crops of a photo."""
    shifted = [
        np.roll(picture, tuple(generator.integers(-2, 3, 2)), axis=(0, 1)) for picture in pixels
    ]
    contrast = generator.uniform(0.75, 0.95, (len(pixels), 1, 1))
    return (np.reshape(shifted, pixels.shape) * contrast + 10).round().astype(np.uint8)


def _vote(
    feelings: Floats, no_face: npt.NDArray[np.bool_], generator: np.random.Generator
) -> npt.NDArray[np.int64]:
    """Draw the votes of ten taggers; most pictures without a face get votes for NF."""
    unknown = np.minimum(generator.exponential(UNKNOWN_SHARE, len(feelings)), 0.8)
    nothing = np.where(no_face, generator.choice([0.2, 1.0], len(feelings)), 0.0)
    chances = np.column_stack([feelings * (1 - unknown)[:, None], unknown])
    chances = np.column_stack([chances * (1 - nothing)[:, None], nothing])
    votes: npt.NDArray[np.int64] = generator.multinomial(TAGGERS, chances)
    return votes
