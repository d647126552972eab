from pathlib import Path

import pytest

from tune.run.directory import RunError
from tune.run.lookup import find_trial
from tune.run.trial import Trial


def trial(number, trial_id, name, seed=0, fold=None):
    return Trial(
        id=trial_id, configuration_id=name, number=number, name=name, phase="search", replicate=0,
        config={"seed": seed, "fold": fold}, epochs=1,
    )  # fmt: skip


TRIALS = [
    trial(0, "aa0", "B8_K3"),
    trial(1, "9", "B8_K5"),
    trial(9, "bb1", "B8_K7", seed=0),
    trial(10, "cc2", "B8_K7", seed=1),
    *(trial(20 + fold, f"f{fold}", "B2_K3", fold=fold) for fold in range(8)),
]


def found(asked):
    return find_trial(Path("runs/quick"), iter(TRIALS), asked).number


@pytest.mark.parametrize(
    ("asked", "number"),
    [
        ("aa0", 0), ("0", 0), ("B8_K3", 0), ("B8_K3 seed 0", 0), ("10", 10),
        ("9", 1),  # an id goes before a number
        ("B8_K7 seed 1", 10), (" B8_K7  seed 0", 9), ("B2_K3 seed 0 fold 3", 23),
    ],
)  # fmt: skip
def test_a_trial_is_found_by_what_the_tables_show(asked, number):
    assert found(asked) == number


@pytest.mark.parametrize("asked", ["nobody", "11", "aa", "B8", "b8_k3", "B8_K7 seed 2", ""])
def test_no_other_word_names_a_trial(asked):
    with pytest.raises(
        RunError, match=f"^runs/quick has no trial {asked}; .* lists the id, number and name"
    ):
        found(asked)


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ("B8_K7", r"2 trials of runs/quick are called B8_K7: 9 \(seed 0\), 10 \(seed 1\); give"),
        ("B2_K3", r"8 trials .* 20 \(seed 0 fold 0\), .* 25 \(seed 0 fold 5\) and 2 more; give"),
    ],
)
def test_a_name_of_several_trials_is_refused_with_their_numbers(asked, message):
    with pytest.raises(RunError, match=message):
        found(asked)
