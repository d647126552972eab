"""What searcher and scheduler hear of the trials of a search."""

import pytest

from tests.support.sweeps import figures, small_spec
from tune.run.trial import Ending, Measurement, Status, Trial
from tune.sweep import search as module
from tune.sweep.schedulers.scheduler import Cut
from tune.sweep.search import Search
from tune.sweep.searchers.searcher import KnownTrial

POINT, OTHER = {"kernel_size": 3}, {"kernel_size": 11}


class Heard:
    """Stands for a searcher and a scheduler, and keeps what they hear."""

    size = 7

    def __init__(self):
        self.calls = []
        self.cut = None

    def propose(self, number):
        return {"number": number}

    def hear(self, trial_id, epoch, value):
        self.calls.append(("scheduler", trial_id, epoch, value))
        return self.cut

    def __getattr__(self, name):
        return lambda *arguments: self.calls.append((name, *arguments))


@pytest.fixture
def made(monkeypatch):
    """Every searcher that is made, the last one last; it is its own scheduler."""
    found = []

    def make(_spec):
        found.append(Heard())
        return found[-1]

    monkeypatch.setattr(module, "make_searcher", make)
    monkeypatch.setattr(module, "make_scheduler", lambda _: found[-1])
    return found


def spec_of(**objective):
    return small_spec(objective=objective or "val_accuracy", space={"kernel_size": [3, 5]})


def trial(*losses, status=None, trial_id="t"):
    """A trial whose loss after each epoch is given; its accuracy is the rest to 1."""
    measured = [
        Measurement(epoch=epoch, values=figures("x", epoch, val_loss=loss, val_accuracy=1 - loss))
        for epoch, loss in enumerate(losses, start=1)
    ]
    return Trial(
        id=trial_id,
        configuration_id="c",
        number=0,
        name="n",
        phase="search",
        replicate=0,
        config={"seed": 0},
        epochs=9,
        measurements=measured,
        ending=None if status is None else Ending(status=status, reason=""),
    )


def measure(search, one):
    for place, measurement in enumerate(one.measurements, start=1):
        so_far = trial(*(m.values["val_loss"] for m in one.measurements[:place]))
        search.hear_measurement(so_far, measurement)


@pytest.mark.parametrize(
    ("objective", "told"),
    [
        ({"metric": "val_loss", "at": "best"}, [-0.5, -0.3, -0.3]),
        ({"metric": "val_loss", "at": "last"}, [-0.5, -0.3, -0.4]),
        ({"metric": "val_accuracy", "at": "best"}, [0.5, 0.7, 0.7]),
    ],
)
def test_both_hear_the_objective_after_each_epoch_with_larger_as_better(made, objective, told):
    search = Search(spec_of(**objective))
    measure(search, trial(0.5, 0.3, 0.4))
    of = {"hear_epoch": [], "scheduler": []}
    for name, trial_id, epoch, value in made[0].calls:
        assert (trial_id, epoch) == ("t", len(of[name]) + 1)
        of[name].append(value)
    assert of["hear_epoch"] == of["scheduler"] == pytest.approx(told)


@pytest.mark.parametrize(
    ("status", "curve", "values"),
    [
        (Status.COMPLETED, [-0.5, -0.3], [-0.3]),
        (Status.EARLY_STOPPED, [-0.5, -0.3], None),
        (Status.DIVERGED, [-0.5, -0.3], None),
        (Status.FAILED, [], None),
    ],
)
def test_only_a_complete_trial_has_values_and_a_failed_one_has_no_curve(
    made, status, curve, values
):
    search = Search(spec_of(metric="val_loss"))
    search.hear_ended(trial(0.5, 0.3, status=status))
    (call,) = made[0].calls
    assert call == ("hear_ended", "t", pytest.approx(curve), values and pytest.approx(values))


def test_values_that_are_no_numbers_are_left_out_of_a_curve(made):
    search = Search(spec_of(metric="val_loss", at="last"))
    search.hear_ended(trial(0.5, float("nan"), 0.2, status=Status.EARLY_STOPPED))
    assert made[0].calls == [("hear_ended", "t", [-0.5, -0.2], None)]


def test_proposals_are_counted_and_cuts_are_kept(made):
    search = Search(spec_of())
    assert search.propose() == {"number": 0}
    search.hear_proposed(trial(), 0, POINT)
    search.hear_skipped(1, OTHER)
    assert search.propose() == {"number": 2}
    assert made[0].calls == [("hear_proposed", "t", POINT), ("hear_skipped", OTHER)]
    measure(search, trial(0.5))
    assert search.cuts == {}
    made[0].cut = Cut(epoch=1, value=0.5, needed=0.6, rule="a rule")
    measure(search, trial(0.5))
    assert search.cuts == {"t": made[0].cut}
    made[0].calls.clear()
    search.hear_reopened(trial())
    assert made[0].calls == [("hear_proposed", "t", POINT)]


def test_a_pause_is_an_end_for_the_searcher_until_the_trial_goes_on(made):
    search = Search(spec_of())
    search.hear_proposed(trial(), 0, POINT)
    made[0].cut = Cut(epoch=1, value=0.5, needed=0.6, rule="a rule", pauses=True)
    made[0].calls.clear()
    paused = trial(0.5)
    assert search.hear_measurement(paused, paused.last)
    assert made[0].calls[-1][:2] == ("hear_ended", "t")
    assert search.cuts == {"t": made[0].cut}
    search.hear_reopened(paused)
    assert search.cuts == {}
    paused.epochs = 1
    assert not search.hear_measurement(paused, paused.last), "it is trained whole"


def test_a_larger_search_hears_all_trials_again_but_points_outside_its_space(made):
    search = Search(spec_of())
    known = tuple(KnownTrial(point=point, curve=[0.5], values=None) for point in (POINT, OTHER))
    search.hear_known(known)
    inside, outside = trial(0.5, 0.3, status=Status.COMPLETED), trial(0.4, trial_id="o")
    search.hear_proposed(inside, 0, POINT)
    search.hear_proposed(outside, 1, OTHER)
    search.exhausted = True
    search.restart(spec_of(), [inside, outside])
    assert not search.exhausted
    assert made[1].calls == [
        ("hear_known", [known[0]]),
        ("hear_proposed", "t", POINT),
        ("scheduler", "t", 1, 0.5),
        ("hear_epoch", "t", 1, 0.5),
        ("scheduler", "t", 2, 0.7),
        ("hear_epoch", "t", 2, 0.7),
        ("hear_ended", "t", [0.5, 0.7], [0.7]),
        ("scheduler", "o", 1, 0.6),
    ]
