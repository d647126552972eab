"""Searches with real training: what is compared, and options of other benchmarks."""

import pytest

from benchmarks.__main__ import main
from benchmarks.real_search import compare


def side(*epochs, seconds=100.0):
    return {"seconds": seconds, "epochs": list(epochs)}


def test_time_ends_at_the_first_epoch_with_the_highest_accuracy_that_all_sides_reach():
    found = {
        "ours": side((10.0, 0.4), (20.0, 0.6), (30.0, 0.5), (40.0, 0.7)),
        "other": side((15.0, 0.5), (45.0, 0.6), (50.0, 0.55), seconds=60.0),
    }
    result = compare(found, seed=3, trials=2)
    assert (result.ours, result.others, result.ratios) == (20.0, {"other": 45.0}, {"other": 2.25})
    assert result.details["the accuracy"] == 0.6
    assert result.details["best accuracy"] == {"ours": 0.7, "other": 0.6}
    assert result.details["epochs trained"] == {"ours": 4, "other": 3}
    assert result.details["seconds to the end"] == {"ours": 100, "other": 60}
    assert (result.details["seed"], result.details["configurations"]) == (3, 2)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["train", "--seeds", "3"], "train takes no --seeds; leave it out"),
        (["real_search", "--seeds", "0"], "--seeds must be at least 1, but got 0"),
        (["real_search", "--lcbench", "x"], "real_search takes no --lcbench; leave it out"),
        (["sweep", "--workers", "3"], "sweep takes no --workers; leave it out"),
        (
            ["large_pictures", "--counts", "9000", "10"],
            "--counts must be at least 2000, but got 10",
        ),
    ],
)
def test_an_option_of_another_benchmark_or_below_its_least_value_is_refused(words, message, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(words)
    assert message in capsys.readouterr().err
