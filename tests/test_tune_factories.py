"""What a worker is told of its sweep."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.support.picture_factory import CLASSES, make_dataset
from tune.execution.executor import SweepData
from tune.execution.factories import make_factory
from tune.sweep.spec import ObjectiveSpec

DATA = SweepData(dataset=make_dataset())
RUN = Path("my run")


def made(load_dataset=None, **spec):
    own = {"training_code": None, "own_code": {"mine:Net": "a1"}, "fuse": "auto"}
    spec = SimpleNamespace(**{**own, "objective": ObjectiveSpec(), **spec})
    return make_factory(
        SimpleNamespace(spec=spec), RUN, DATA, threads=3, gpus=0.5, load_dataset=load_dataset
    )


@pytest.mark.parametrize(("fuse", "always"), [("always", True), ("auto", False), ("never", False)])
def test_only_always_means_always(fuse, always):
    assert made(fuse=fuse).always_fuse is always


def test_a_worker_has_the_own_networks_the_objective_and_the_resources_of_a_trial():
    factory = made(objective=ObjectiveSpec(metric="val_loss"))
    assert factory.own_code == {"mine:Net": "a1"}
    assert (factory.objective.metric, factory.threads, factory.gpus) == ("val_loss", 3, 0.5)
    assert factory.load_dataset() is DATA.dataset


def test_sweeps_share_a_dataset_only_if_it_is_loaded_for_their_worker():
    known = DATA.dataset.manifest.fingerprint
    assert made().fingerprint == f"{known} my run"
    assert made(load_dataset=make_dataset).fingerprint == known


def test_own_training_code_has_the_classes_in_their_order():
    code = SimpleNamespace(reference="mine:train", hash="b2")
    factory = made(training_code=code, objectives=(ObjectiveSpec(),))
    assert (factory.classes, factory.code) == (CLASSES, code)
    assert (factory.threads, factory.gpus) == (3, 0.5)
