"""Classifies picture files outside a dataset, read and resized like those of a dataset."""

import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from data_prep.manifest import DatasetManifest
from data_prep.pictures import SUFFIXES, PictureError, fit_pixels, read_picture
from data_prep.walking import not_read, printable, walk
from fairsweep.errors import MissingFileError, UserError
from models.classifier import Classifier

AT_ONCE = 256
"""Pictures that are read and classified together; this limits memory."""


@dataclass(frozen=True, kw_only=True)
class Prediction:
    """What a network predicts for one picture."""

    picture: Path
    probabilities: dict[str, float]
    """Probability of each class; empty if the picture cannot be read."""
    fault: str = ""
    """Why the picture cannot be read."""

    @property
    def label(self) -> str:
        """The most probable class; in a tie, the first."""
        return max(self.probabilities, key=self.probabilities.__getitem__)


def find_pictures(path: Path) -> list[Path]:
    """Return ``path`` itself, or the pictures in a folder and its subfolders, sorted.

    The folder is walked as in the preparation of a dataset. Paths that cannot be read are included,
    so that classifying them gives the reason. Other files are counted on stderr.

    Raises:
        MissingFileError: ``path`` does not exist.
        UserError: The folder holds no picture.
    """
    if not path.exists():
        raise MissingFileError(f"{path} does not exist; give a picture or a folder of pictures")
    if not path.is_dir():
        return [path]
    found, passed_over = [], Counter[str]()
    for file in walk(path):
        if file.fault or file.path.suffix.lower() in SUFFIXES:
            found.append(file.path)
        else:
            passed_over[file.path.suffix.lower()] += 1
    if not found:
        raise UserError(f"{path} holds no picture ({', '.join(SUFFIXES)}); give another folder")
    if passed_over:
        print(f"warning: {not_read(passed_over)}", file=sys.stderr)
    return found


def classify(classifier: Classifier, pictures: Sequence[Path]) -> Iterator[Prediction]:
    """Yield a prediction for each picture, in order."""
    for start in range(0, len(pictures), AT_ONCE):
        paths = pictures[start : start + AT_ONCE]
        images = [_read(path, classifier.manifest) for path in paths]
        pixels = [image for image in images if not isinstance(image, PictureError)]
        rows = iter(classifier.probabilities(np.stack(pixels)) if pixels else ())
        for path, image in zip(paths, images, strict=True):
            if isinstance(image, PictureError):
                yield Prediction(picture=path, probabilities={}, fault=str(image))
            else:
                values: list[float] = next(rows).tolist()
                by_class = dict(zip(classifier.manifest.classes, values, strict=True))
                yield Prediction(picture=path, probabilities=by_class)


def _read(path: Path, manifest: DatasetManifest) -> npt.NDArray[np.uint8] | PictureError:
    if printable(path) != str(path):
        return PictureError("its name is not UTF-8; rename it")
    try:
        picture = read_picture(path, colour=manifest.channels > 1)
        return fit_pixels(picture.pixels, manifest.image_shape, manifest.fit)
    except PictureError as error:
        return error
