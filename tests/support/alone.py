"""Sweeps in this process: real trainings and real files, but no Ray and no second process."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from data_prep.synthetic import prepare_synthetic
from tune.execution.factory import TrainingFactory
from tune.session import session
from tune.sweep.spec import parse_spec

FIXED = {
    "family": "resnet", "channels": 2, "blocks": 1, "conv_depth": 1, "pool_size": 2, "fc_width": 4,
    "kernel_size": 1, "batch_size": 64, "epochs": 1, "augmentation": "none",
}  # fmt: skip


def drive(run, sweep, dataset, _loggers):
    """Stand in for Ray: train one trial after the other."""
    sweep.begin()
    factory = TrainingFactory(
        # Workers cache the dataset by this; here all sweeps share a process.
        run=run, fingerprint=str(run), objective=sweep.spec.objective, threads=1,
        load_dataset=lambda: dataset,
    )  # fmt: skip
    while (bundle := sweep.next_bundle(1)) is not None:
        for trial_id in bundle.trials:
            sweep.start(trial_id, 1.0)
        if bundle.probe:
            fusing = factory.probe(bundle)
            sweep.decide_fusing(fusing)
            if not fusing.fused:
                continue
            bundle = replace(bundle, folder=fusing.folder, channels_last=fusing.channels_last)
        training = factory(bundle)
        worker = {"host": "here", "device": "cpu", "parameters": training.parameters}
        while not all(sweep.report(*told, worker) for told in training.advance()):
            pass
        training.close()
    sweep.close()


@pytest.fixture(name="few_pictures", scope="session")
def few_pictures_fixture(tmp_path_factory):
    """A prepared dataset of about 300 drawn faces."""
    out = tmp_path_factory.mktemp("data") / "few"
    prepare_synthetic(out=out, images=400, near_duplicates=False)
    return out


@pytest.fixture(name="finished_run", scope="session")
def finished_run_fixture(tmp_path_factory, few_pictures):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(session, "_drive", drive)
        run, _ = session.start(tiny_spec(few_pictures), tmp_path_factory.mktemp("runs"))
    return run


@pytest.fixture(name="run")
def run_fixture(tmp_path, finished_run, monkeypatch):
    """The directory of a finished sweep of two trials; further ones go on in this process."""
    monkeypatch.setattr(session, "_drive", drive)
    return Path(shutil.copytree(finished_run, tmp_path / "my runs" / "tiny"))


def tiny_spec(data, **changes):
    values = {"name": "tiny", "data": str(data), "fixed": FIXED, "space": {"batch_size": [32, 64]},
              "seed": 6}  # fmt: skip
    values["fixed"] = {k: v for k, v in FIXED.items() if k != "batch_size"}
    return parse_spec({**values, **changes})
