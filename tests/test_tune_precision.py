"""The note on bf16 where a processor has no instructions for it."""

import pytest
import torch

from tests.support.in_process import few_pictures_fixture  # noqa: F401 - a fixture, used by name
from tests.support.sweeps import small_spec
from tune.commands import plan
from tune.session import precision
from tune.session.precision import precision_note

FIXED = small_spec().fixed


@pytest.fixture(name="machine")
def machine_fixture(monkeypatch):
    def has(instructions, *, gpu=False):
        monkeypatch.setattr(precision, "bf16_instructions", lambda: instructions)
        monkeypatch.setattr(torch.cuda, "is_available", lambda: gpu)

    return has


def test_bf16_without_hardware_is_told_and_allowed(machine):
    machine(())
    fixed = small_spec(fixed={**FIXED, "precision": "bf16"})
    searched = small_spec(space={"precision": ["float32", "bf16"]})
    for spec in (fixed, searched):
        assert precision_note(spec).startswith("note: precision bf16 is several times slower")
    assert precision_note(small_spec()) is None


@pytest.mark.parametrize(("instructions", "gpu"), [(("AMX",), False), (None, False), ((), True)])
def test_nothing_is_told_where_it_is_fast_or_not_known(machine, instructions, gpu):
    machine(instructions, gpu=gpu)
    assert precision_note(small_spec(fixed={**FIXED, "precision": "bf16"})) is None


def test_precision_is_never_chosen_by_itself(machine):
    machine(("AMX",))
    spec = small_spec()
    points = spec.search_space.samples_of_each()
    configs = [spec.config(spec.search_space.at(point), seed=0) for point in points]
    assert {config.precision for config in configs} == {"float32"}


def test_a_plan_tells_it(machine, monkeypatch, capsys, few_pictures):
    machine(())
    monkeypatch.setattr(plan, "print_plan", lambda *_: None)
    spec = small_spec(data=str(few_pictures), fixed={**FIXED, "precision": "bf16"})
    monkeypatch.setattr(plan, "spec_of", lambda _: spec)
    assert plan.run(None) == 0
    assert "precision bf16 is several times slower" in capsys.readouterr().err
