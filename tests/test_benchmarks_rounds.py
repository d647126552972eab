"""Rounds of a benchmark as one result, and the picture of all peers."""

import json
import math
from dataclasses import replace
from itertools import count
from types import SimpleNamespace

import pytest

from benchmarks.__main__ import main
from benchmarks.harness import Result
from benchmarks.peers_figure import draw, newest
from benchmarks.rounds import INTERVALS, interval, together
from benchmarks.rounds import main as join
from fairsweep.errors import UserError


def result(ours, slow, fast, *, smaller_is_better=True, **details):
    return Result(
        name="sweep", unit="seconds", ours=ours, others={"slow": slow, "fast": fast},
        smaller_is_better=smaller_is_better, details=details,
    )  # fmt: skip


def test_the_interval_of_two_ratios_is_that_of_their_logarithms():
    # The mean of the logs is log 2; with one degree of freedom t is 12.706.
    reach = 12.706 * math.log(2) / 2
    low, high = interval([math.sqrt(2), 2 * math.sqrt(2)])
    assert (low, high) == (
        pytest.approx(2 * math.exp(-reach), abs=0.001),
        pytest.approx(2 * math.exp(reach), rel=0.001),
    )


@pytest.mark.parametrize("smaller_is_better", [True, False])
def test_rounds_have_the_mean_of_their_ratios_whatever_the_machine_did(smaller_is_better):
    rounds = [
        result(10.0, 20.0, 5.0, smaller_is_better=smaller_is_better, trials=8),
        result(40.0, 160.0, 20.0, smaller_is_better=smaller_is_better, trials=8),
    ]
    whole = together(rounds)
    assert whole.ours == pytest.approx(20.0)
    assert (whole.details["trials"], whole.details["rounds"]) == (8, 2)
    slow, fast = (2.828, 0.5) if smaller_is_better else (0.354, 2.0)
    assert whole.ratios == {"slow": slow, "fast": fast}
    assert INTERVALS not in whole.details, "two rounds are too few"
    three = together([*rounds, whole])
    assert three.details[INTERVALS]["fast"] == [fast, fast], "all rounds say the same"
    low, high = three.details[INTERVALS]["slow"]
    assert low < slow < high


def test_rounds_until_a_failure_are_kept_together(monkeypatch, tmp_path, capsys):
    runs = count(1)

    def run():
        if (number := next(runs)) == 3:
            raise UserError("the third round fails")
        yield result(10.0 / number, 20.0, 5.0)
        yield replace(result(1.0, 2.0, 3.0), name="train")

    train = SimpleNamespace(run=run)
    monkeypatch.setattr("benchmarks.__main__.import_module", {"benchmarks.train": train}.get)
    monkeypatch.setattr("benchmarks.harness.RESULTS", tmp_path)
    with pytest.raises(SystemExit):
        main(["train", "--rounds", "4", "--json"])
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("{")]
    assert [json.loads(line)["details"].get("rounds") for line in lines] == [None, None, 2, 2]
    kept = newest(tmp_path, "sweep")
    assert kept == json.loads(lines[2])
    assert kept["details"]["ratios of each round"] == {"slow": [2.0, 4.0], "fast": [0.5, 1.0]}
    assert newest(tmp_path, "train") == json.loads(lines[3])


def test_rounds_of_several_days_become_one_result(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr("benchmarks.harness.RESULTS", tmp_path / "results")
    files = []
    for day, slow in (("2026-11-24", 20.0), ("2026-11-26", 40.0)):
        files.append(tmp_path / f"{day}.json")
        files[-1].write_text(json.dumps({**result(10.0, slow, 5.0).to_dict(), "date": day}))
    assert join(list(map(str, files))) == 0
    result(10.0, 20.0, 5.0).keep()
    assert len(list((tmp_path / "results").iterdir())) == 2, "a round of the same day stays"
    kept = newest(tmp_path / "results", "sweep")
    assert kept["details"]["ratios of each round"] == {"slow": [2.0, 4.0], "fast": [0.5, 0.5]}
    rounds = kept["details"]["of each round"]
    assert [each["date"] for each in rounds] == ["2026-11-24", "2026-11-26"]
    assert all("cores" in each["hardware"] for each in rounds)
    other = tmp_path / "other.json"
    other.write_text(json.dumps({**result(1.0, 2.0, 3.0).to_dict(), "name": "train"}))
    no_result = tmp_path / "no_result.json"
    no_result.write_text('{"name": "sweep"}')
    missing, no_json = tmp_path / "missing.json", tmp_path / "no_json.json"
    no_json.write_text("sweep")
    for wrong, names in (
        ([files[0]], "got 1 of sweep"),
        ([files[0], other], "got 2 of sweep, train"),
        ([files[0], missing], f"{missing} is no result"),
        ([files[0], no_json], f"{no_json} is no result"),
        ([files[0], no_result], f"{no_result} is no result"),
    ):
        with pytest.raises(SystemExit, match="2"):
            join(list(map(str, wrong)))
        assert names in capsys.readouterr().err


def test_a_number_of_rounds_below_one_is_refused(capsys):
    with pytest.raises(SystemExit, match="2"):
        main(["train", "--rounds", "0"])
    assert "--rounds must be at least 1, but got 0" in capsys.readouterr().err


def test_a_panel_has_a_point_for_each_peer_its_rounds_and_a_line_where_there_is_an_interval():
    found = together([result(10.0, slow, 5.0) for slow in (20.0, 30.0, 40.0)]).to_dict()
    alone = {**result(1.0, 3.0, 2.0).to_dict(), "name": "train"}
    first, second = draw([found, alone]).axes
    assert first.get_title(loc="left").startswith("eight trials, to the end (")
    assert [text.get_text() for text in first.get_yticklabels()] == ["fast", "slow"]
    lines = [line.get_xdata() for line in first.get_lines()]
    assert [list(each) for each in lines[:3]] == [[0.5, 0.5], [0.5], [0.5, 0.5, 0.5]]
    assert list(lines[3]) == found["details"][INTERVALS]["slow"]
    assert list(lines[4]) == [found["ratios"]["slow"]]
    assert list(lines[5]) == [2.0, 3.0, 4.0]
    lines = [list(line.get_xdata()) for line in second.get_lines()]
    assert lines[:3] == [[2.0, 2.0], [2.0], []]


def test_the_newest_result_of_a_name_is_drawn(tmp_path):
    for date in ("2026-11-24", "2026-11-28", "2026-11-27"):
        file = tmp_path / f"sweep-{date.replace('-', '')}-2cores.json"
        file.write_text(json.dumps({"name": "sweep", "date": date}))
    other = {"name": "sweep-x", "date": "2026-12-01"}
    (tmp_path / "sweep-x-20261201.json").write_text(json.dumps(other))
    assert newest(tmp_path, "sweep")["date"] == "2026-11-28"
    assert newest(tmp_path, "train") is None
