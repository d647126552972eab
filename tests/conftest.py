import os
from pathlib import Path

import pytest

from data_prep.synthetic import prepare_synthetic

REPOSITORY = Path(__file__).parents[1]


@pytest.fixture(scope="session")
def synthetic_dataset(tmp_path_factory) -> Path:
    """A prepared dataset of drawn faces: about 1,200 labelled pictures."""
    out = tmp_path_factory.mktemp("data") / "synthetic"
    prepare_synthetic(out=out, images=1500, near_duplicates=False)
    return out


@pytest.fixture(scope="session")
def fer_data() -> Path:
    """The folder with the real archives."""
    folder = Path(os.environ.get("FER_DATA", REPOSITORY / "../shared/data"))
    if not (folder / "fer2013plus.tar.gz").is_file():
        pytest.skip(f"no fer2013plus.tar.gz in {folder}; set FER_DATA to the folder that holds it")
    return folder


@pytest.fixture
def one_thread():
    """Results are equal to the last digit on one CPU thread only."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
