"""Runs sweeps in the test process: real trainings and files, without Ray or other processes."""

import shutil
from functools import partial
from pathlib import Path

import pytest

from data_prep.synthetic import prepare_synthetic
from tune.commands import kfold as kfold_module
from tune.commands import retrain as retrain_module
from tune.execution.in_process import InProcessExecutor
from tune.session import session
from tune.sweep.spec import parse_spec

FIXED = {
    "family": "resnet", "channels": 2, "blocks": 1, "conv_depth": 1, "pool_size": 2, "fc_width": 4,
    "kernel_size": 1, "batch_size": 64, "epochs": 1, "augmentation": "none",
}  # fmt: skip


EXECUTOR = InProcessExecutor()
start = partial(session.start, executor=EXECUTOR)
resume = partial(session.resume, executor=EXECUTOR)
extend = partial(session.extend, executor=EXECUTOR)
kfold = partial(kfold_module.kfold, executor=EXECUTOR)
retrain = partial(retrain_module.retrain, executor=EXECUTOR)


@pytest.fixture(name="few_pictures", scope="session")
def few_pictures_fixture(made_once):
    """A prepared dataset of about 300 drawn faces."""

    def make(folder):
        prepare_synthetic(out=folder / "few", images=400, near_duplicates=False)

    return made_once("few-pictures", make) / "few"


@pytest.fixture(name="finished_run", scope="session")
def finished_run_fixture(made_once, few_pictures):
    return made_once("tiny-run", lambda runs: start(tiny_spec(few_pictures), runs)) / "tiny"


@pytest.fixture(name="run")
def run_fixture(tmp_path, finished_run):
    """The directory of a finished sweep of two trials."""
    return Path(shutil.copytree(finished_run, tmp_path / "my runs" / "tiny"))


def tiny_spec(data, **changes):
    values = {"name": "tiny", "data": str(data), "fixed": FIXED, "space": {"batch_size": [32, 64]},
              "seed": 6}  # fmt: skip
    values["fixed"] = {k: v for k, v in FIXED.items() if k != "batch_size"}
    return parse_spec({**values, **changes})
