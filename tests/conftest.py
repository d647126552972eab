import fcntl
import os
import shutil
from pathlib import Path

import pytest

from data_prep.fer2013 import prepare_fer2013
from data_prep.synthetic import prepare_synthetic

REPOSITORY = Path(__file__).parents[1]

# Ray runs its workers at niceness 15. Next to tests that compute, they would get no CPU time.
os.environ.setdefault("RAY_worker_niceness", "0")


@pytest.fixture(scope="session")
def made_once(tmp_path_factory):
    """Return a function that makes a named folder once per test session and returns its path.

    All test processes share the folder, so tests must not change it.
    """
    root = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        root = root.parent

    def get(name, make) -> Path:
        folder = root / name
        with (root / f"{name}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            done = root / f"{name}.done"
            if not done.exists():
                shutil.rmtree(folder, ignore_errors=True)  # Of an attempt that failed.
                folder.mkdir()
                make(folder)
                done.touch()
        return folder

    return get


@pytest.fixture(scope="session")
def synthetic_dataset(made_once) -> Path:
    """A prepared dataset of synthetic faces: about 1,200 labelled pictures."""

    def make(folder):
        prepare_synthetic(out=folder / "synthetic", images=1500, near_duplicates=False)

    return made_once("data", make) / "synthetic"


@pytest.fixture(scope="session")
def fer_data() -> Path:
    """The folder with the real archives."""
    folder = Path(os.environ.get("FER_DATA", REPOSITORY / "../shared/data"))
    if not (folder / "fer2013plus.tar.gz").is_file():
        pytest.skip(f"no fer2013plus.tar.gz in {folder}; set FER_DATA to the folder that holds it")
    return folder


@pytest.fixture(scope="session")
def fer2013_dataset(fer_data, made_once) -> Path:
    """What `data_prep fer2013` makes of the real archive."""

    def make(folder):
        prepare_fer2013(images=fer_data / "fer2013plus.tar.gz", out=folder / "data")

    return made_once("fer2013-from-pngs", make) / "data"


@pytest.fixture
def undrawn(monkeypatch):
    """Pages have an empty picture for each figure: drawing takes most of their time."""
    from analysis.drawing.drawing import Drawn

    def render(drawing):
        return Drawn(drawing=drawing, svg="<svg></svg>", png=b"")

    for module in ("analysis.report.report", "analysis.runs.page", "analysis.groups.bias"):
        monkeypatch.setattr(f"{module}.render", render)


@pytest.fixture
def one_thread():
    """Run torch on one CPU thread, where results are equal to the last digit."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
