"""Own networks are tried once for each shape before their sweep begins."""

from types import SimpleNamespace

import pytest

from fairsweep.errors import UserError
from models.first_step import FirstStep
from tests.support.sweeps import small_spec
from tune.commands import plan
from tune.session import first_steps
from tune.session.first_steps import check_networks
from tune.sweep.spec import parse_spec

NET = """
from torch import nn

class Net(nn.Module):
    def __init__(self, classes, *, width: int = 4):
        super().__init__()
        self.head = nn.LazyLinear(classes)
"""
OTHER = NET.replace("Net(", "Other(")


@pytest.fixture
def spec(tmp_path):
    """A spec of two own networks and one of ours."""
    (tmp_path / "two_nets.py").write_text(NET + OTHER)
    nets = {
        "two_nets:Net": {"width": [4, 8], "image_size": [24, 48]},
        "two_nets:Other": {"learning_rate": [0.1, 0.2]},
        "resnet": {"blocks": [1, 2]},
    }
    values = {"name": "own", "data": "x", "fixed": {"epochs": 1}, "space": {"family": nets}}
    return parse_spec(values, folders=[tmp_path])


@pytest.fixture
def tried(monkeypatch):
    """The configurations that are tried; what a step says is chosen by ``answers``."""
    found = SimpleNamespace(configs=[], answers=lambda _: FirstStep(channels_last=True))

    def take(config, _dataset):
        found.configs.append(config)
        return found.answers(config)

    monkeypatch.setattr("models.first_step.take_first_step", take)
    return found


def test_each_shape_of_an_own_network_is_tried_once_and_no_network_of_ours(spec, tried):
    checked = check_networks(spec, None)
    shapes = [(c.family, dict(c.own).get("width"), c.image_size) for c in tried.configs]
    assert len(shapes) == len(set(shapes))
    nets = {shape for shape in shapes if shape[0] == "two_nets:Net"}
    assert {width for _, width, _ in nets} == {4, 8}
    assert {size for *_, size in nets} == {24, 48}
    assert [shape for shape in shapes if shape not in nets] == [("two_nets:Other", 4, None)]
    assert (checked.spec, checked.notes) == (spec, ())
    assert check_networks(small_spec(), None).notes == ()


def test_a_network_that_fails_in_the_faster_layout_has_the_plain_one_and_each_note_comes_once(
    spec, tried
):
    def answers(config):
        return FirstStep(channels_last=config.family != "two_nets:Other", notes=("it is odd",))

    tried.answers = answers
    checked = check_networks(spec, None)
    layouts = {name: net.channels_last for name, net in checked.spec.networks.items()}
    assert layouts == {"two_nets:Net": True, "two_nets:Other": False}
    assert checked.notes == (f"{spec.name_of(tried.configs[0])}: it is odd",)


def test_a_network_that_cannot_be_trained_is_named(spec, tried):
    def fails(_config):
        raise UserError("line 3: no")

    tried.answers = fails
    with pytest.raises(UserError, match=r"^Net.* cannot be trained: line 3: no$"):
        first_steps.check_networks(spec, None)


def test_a_plan_tells_what_is_odd_of_own_networks_beside_its_table(
    spec, tried, monkeypatch, capsys
):
    tried.answers = lambda _: FirstStep(channels_last=True, notes=("it is odd",))
    monkeypatch.setattr(plan, "spec_of", lambda _: spec)
    for name in ("read_manifest", "open_dataset", "precision_note"):
        monkeypatch.setattr(plan, name, lambda _: None)
    monkeypatch.setattr(plan, "plan_sweep", lambda *_, **__: None)
    monkeypatch.setattr(plan, "print_plan", lambda *_: print("the table"))
    assert plan.run(None) == 0
    said = capsys.readouterr()
    assert said.out == "the table\n"
    assert said.err == f"{spec.name_of(tried.configs[0])}: it is odd\n"
