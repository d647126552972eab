"""The simulation of false verdicts can be run for some kinds of sweeps."""

import pytest

from benchmarks.__main__ import main
from benchmarks.statistics import KINDS, PAIRS, simulate
from fairsweep.errors import UserError


def test_only_the_kinds_that_are_asked_for_are_simulated():
    tallies = simulate(1, ["against 1", "no kind has this name"])
    assert list(tallies) == [kind for kind in PAIRS if "against 1" in kind]
    assert all(tally.sweeps == 1 for tally in tallies.values())


def test_a_kind_that_does_not_exist_is_refused_with_the_names_of_all():
    with pytest.raises(UserError, match=next(iter(KINDS))):
        simulate(1, ["grids"])


def test_kinds_are_for_simulated_sweeps_only(capsys):
    with pytest.raises(SystemExit) as end:
        main(["own", "--kinds", "grid"])
    assert end.value.code == 2
    assert "own takes no --kinds" in capsys.readouterr().err
