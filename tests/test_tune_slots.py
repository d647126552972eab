"""How many trials run at once, by what Ray says of its nodes."""

from types import SimpleNamespace

import pytest

from tests.support.sweeps import small_spec
from tune.execution.slots import Slots, find_slots


def node(cpus, gpus=0.0, *, alive=True):
    have = {"CPU": float(cpus)} | ({"GPU": float(gpus)} if gpus else {})
    return {"Alive": alive, "Resources": have}


@pytest.fixture
def cluster(monkeypatch):
    """A function that makes these nodes the connected Ray."""

    def connect(*nodes):
        alive = [one["Resources"] for one in nodes if one["Alive"]]
        totals = {key: sum(one.get(key, 0.0) for one in alive) for key in ("CPU", "GPU")}
        ray = SimpleNamespace(
            nodes=lambda: list(nodes),
            cluster_resources=lambda: {key: value for key, value in totals.items() if value},
        )
        monkeypatch.setattr("tune.execution.slots.ray", ray)

    return connect


def found(**resources):
    slots = find_slots(small_spec(**({"resources": resources} if resources else {})))
    return slots.cpus, slots.gpus, slots.count


def test_by_default_each_trial_has_a_core(cluster):
    cluster(node(3), node(5), node(64, alive=False))
    assert found() == (1, 0, 8)


@pytest.mark.parametrize(
    ("cpus", "gpus", "share", "count"),
    [(16, 1, 8, 8), (12, 2, 6, 12), (7, 2, 3, 6), (2, 4, 1, 2), (256, 2, 8, 16)],
)
def test_by_default_as_many_trials_share_a_gpu_as_it_has_cores_and_no_more_than_eight(
    cluster, cpus, gpus, share, count
):
    cluster(node(cpus, gpus))
    assert found() == (1, 1 / share, count)


def test_a_trial_takes_what_the_spec_says(cluster):
    cluster(node(8, 2), node(5, 2))
    assert found(cpus=2) == (2, 0, 4 + 2)
    assert found(cpus=2, gpus=1) == (2, 1, 2 + 2)
    assert found(cpus=1, gpus=0.4) == (1, 0.4, 4 + 4)
    assert found(cpus=1, trials_at_once=3) == (1, 0, 3)


def test_a_trial_that_fits_nowhere_is_refused_with_what_there_is(cluster):
    cluster(node(2), node(2))
    with pytest.raises(ValueError, match=r"asks for 3.0 CPUs and 0 GPUs, but Ray has 4 and 0"):
        find_slots(small_spec(resources={"cpus": 3.0}))


def test_slots_are_counted_anew_and_never_more_than_the_spec_lets():
    slots = Slots(cpus=2, gpus=0, count=9, most=5)
    assert slots.on([node(7), node(4)]).count == 5
    assert slots.on([node(3)]).count == 1
    assert slots.on([]).count == 0
    assert Slots(cpus=2, gpus=0, count=9).on([node(40)]).count == 20
    assert Slots(cpus=1, gpus=0.5, count=0).on([node(9, 1), node(1, 4)]).count == 2 + 1


@pytest.mark.parametrize(
    ("share", "on_two_gpus"),
    [(0.4, 4), (0.5, 4), (0.6, 2), (1 / 3, 6), (1 / 7, 14), (1, 2), (2, 1)],
)
def test_a_slot_with_a_share_of_a_gpu_lies_on_one_gpu(share, on_two_gpus):
    assert Slots(cpus=1, gpus=share, count=0).on([node(16, 2)]).count == on_two_gpus


@pytest.mark.parametrize(
    ("cpus", "gpus", "count", "devices", "places"),
    [(2, 0, 6, 2, 6), (1, 0.25, 8, 0.25, 2), (1, 2, 3, 2, 3), (1, 1, 3, 1, 3), (1, 0.1, 1, 0.1, 1),
     (1, 0.33, 6, 0.33, 2)],
)  # fmt: skip
def test_places_are_cores_or_gpus_however_many_slots_share_one(cpus, gpus, count, devices, places):
    slots = Slots(cpus=cpus, gpus=gpus, count=count)
    assert (slots.devices, slots.places) == (devices, places)


def test_a_node_without_cores_has_no_slots():
    assert Slots(cpus=1, gpus=0, count=0).on([{"Resources": {"memory": 1e9}}, node(2)]).count == 2


def test_only_nodes_with_a_gpu_have_slots_with_one():
    slots = Slots(cpus=1.0, gpus=0.25, count=9)
    assert slots.on([node(16), node(16, 1), node(2, 2)]).count == 4 + 2
    assert slots.on([node(16), node(64)]).count == 0
    assert slots.on([]).count == 0
