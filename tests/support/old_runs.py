"""Runs of earlier versions, packed in `tests/fixtures/runs`, and the output of those versions.

They were made on synthetic faces (`prepare_synthetic(images=400)`): a finished grid with replicates
whose test split was evaluated once, a TPE search with ASHA that was killed while two trials ran,
and three folds and a retraining of the grid's best configuration.
"""

import tarfile
from pathlib import Path

FIXTURES = Path(__file__).parents[1] / "fixtures" / "runs"
EXPECTED = FIXTURES / "expected"
NAMES = ("grid", "asha", "grid-kfold", "grid-retrain")
IMAGES = 400
"""Pictures generated for their dataset."""


def unpack(name: str, folder: Path) -> Path:
    """Unpack a run into ``folder`` and return its directory."""
    with tarfile.open(FIXTURES / f"{name}.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / name
