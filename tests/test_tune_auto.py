"""What `searcher: auto` picks, when it is asked, and that a run keeps what was picked."""

import pytest

from fairsweep.yaml_text import load_yaml
from tests.support.sweeps import SPEC, new_sweep, small_spec
from tune.__main__ import main
from tune.sweep.searchers.registry import make_searcher
from tune.sweep.spec import SpecError, parse_spec

RANGES = {
    "dropout": {"low": 0.0, "high": 0.5},
    "learning_rate": {"low": 1e-4, "high": 1e-1, "log": True},
}
CONDITIONAL = {
    "family": {"resnet": {"kernel_size": [3, 5, 7]}, "plain": {"stages": [2, 3, 4]}},
    **RANGES,
}
COST = [{"metric": "val_accuracy"}, {"metric": "parameters", "mode": "min"}]
HOURS = {"budget": {"hours": 1}}


def picked(samples=None, **changes):
    searcher = {"name": "auto", **({"samples": samples} if samples else {})}
    values = {key: value for key, value in SPEC.items() if key != "scheduler"}
    return parse_spec({**values, "space": RANGES, "searcher": searcher, **changes})


@pytest.mark.parametrize(
    ("changes", "searcher", "samples", "scheduler"),
    [
        ({"space": SPEC["space"]}, "grid", None, "none"),
        ({"space": SPEC["space"], "samples": 12}, "grid", None, "none"),
        (
            {"space": {"batch_size": {"low": 11, "high": 210}}, "samples": 60},
            "mobster", 60, "promotion",
        ),
        ({"samples": 60}, "mobster", 60, "promotion"),
        ({"samples": 19}, "sobol", 19, "asha"),
        ({"samples": 20}, "mobster", 20, "promotion"),
        (
            {"samples": 19, "space": CONDITIONAL, "fixed": {"epochs": 9}},
            "random", 19, "asha",
        ),
        ({"samples": 40, "resources": {"trials_at_once": 20}}, "mobster", 40, "promotion"),
        ({"samples": 39, "resources": {"trials_at_once": 20}}, "sobol", 39, "asha"),
        ({"samples": 19, "warm_start": "runs/other"}, "mobster", 19, "promotion"),
        (
            {"samples": 12, "space": SPEC["space"], "warm_start": "runs/other"},
            "mobster", 12, "promotion",
        ),
        ({"samples": 60, "objective": COST}, "tpe", 60, "none"),
        (HOURS, "mobster", 1000, "asha"),
        ({"samples": 60, **HOURS}, "mobster", 60, "asha"),
        ({"budget": {"device_hours": 2}}, "mobster", 1000, "asha"),
        ({"samples": 60, "scheduler": "none"}, "mobster", 60, "none"),
        ({"samples": 60, "scheduler": "median"}, "mobster", 60, "median"),
        ({"samples": 60, "fixed": {**SPEC["fixed"], "epochs": 3}}, "mobster", 60, "none"),
    ],
)  # fmt: skip
def test_auto_picks_by_the_space_the_samples_and_the_workers(changes, searcher, samples, scheduler):
    spec = picked(**changes)
    assert (spec.searcher.name, spec.searcher.samples) == (searcher, samples)
    assert spec.scheduler.name == scheduler
    assert spec.searcher.reason.startswith(f"auto picked searcher {searcher}")
    assert make_searcher(spec).size


def test_a_population_is_refused_with_the_searcher_that_was_picked():
    spec = picked(searcher={"name": "auto", "samples": 60, "population": 9})
    with pytest.raises(SpecError, match=r"mobster.* generations"):
        make_searcher(spec)


def test_trials_are_first_compared_after_a_seventeenth_of_a_long_training():
    for epochs, grace in ((4, 1), (17, 1), (52, 3), (100, 6)):
        spec = picked(samples=60, fixed={**SPEC["fixed"], "epochs": epochs})
        assert (spec.scheduler.name, spec.scheduler.grace_period) == ("promotion", grace)


def test_own_training_code_is_stopped_instead_of_paused(tmp_path, monkeypatch):
    (tmp_path / "mine.py").write_text(
        "def train(*, rate: float, epochs):\n    yield {'val_f1': rate}\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    ranges = {"rate": {"low": 1e-4, "high": 1e-1, "log": True}}
    spec = picked(
        train="mine:train", objective="val_f1", fixed={"epochs": 9}, space=ranges, samples=60
    )
    assert (spec.searcher.name, spec.scheduler.name) == ("mobster", "asha")


def test_auto_needs_an_end_of_the_search():
    with pytest.raises(SpecError, match="add samples: N to searcher, or hours: N to budget"):
        picked()
    with pytest.raises(SpecError, match="add samples: N"):
        picked(space={"batch_size": {"low": 11, "high": 111}})
    assert picked(space={"batch_size": {"low": 11, "high": 110}}).searcher.name == "grid"


def spec_without_a_searcher(**changes):
    return parse_spec({**{k: v for k, v in SPEC.items() if k != "searcher"}, **changes})


def test_a_spec_without_a_searcher_stays_a_grid_where_it_was_one():
    spec = spec_without_a_searcher()
    assert spec.model_dump() == small_spec().model_dump()
    assert "reason" not in spec.to_yaml()
    large = spec_without_a_searcher(space={"batch_size": {"low": 11, "high": 510}})
    assert (large.searcher.name, large.searcher.reason) == ("grid", None)
    named = small_spec(searcher={"name": "grid", "samples": 5})
    with pytest.raises(SpecError, match="takes no samples"):
        make_searcher(named)


def test_a_spec_that_could_be_no_grid_is_left_to_auto():
    assert spec_without_a_searcher(space=RANGES, **HOURS).searcher.name == "mobster"
    assert small_spec(space=RANGES, searcher={"samples": 30}).searcher.name == "mobster"


def test_a_run_keeps_what_was_picked():
    sweep, events = new_sweep(picked(samples=60))
    written = load_yaml(events[0]["spec"], "the ledger")
    assert written["searcher"]["name"] == "mobster"
    assert written["searcher"]["reason"] == sweep.spec.searcher.reason
    again, _ = new_sweep(sweep.spec, events)
    assert again.spec == sweep.spec


def test_nothing_is_picked_for_an_existing_run():
    values = {**SPEC, "space": RANGES, "searcher": {"samples": 30}}
    assert parse_spec(values, recorded=True).searcher.name == "grid"


def test_a_plan_says_what_was_picked_and_why(made_once, capsys, tmp_path, monkeypatch):
    from data_prep.synthetic import prepare_synthetic

    faces = made_once(
        "auto-faces",
        lambda folder: prepare_synthetic(out=folder / "faces", images=300, near_duplicates=False),
    )
    monkeypatch.chdir(tmp_path)
    spec = small_spec(data=str(faces / "faces"))
    (tmp_path / "spec.yaml").write_text(spec.to_yaml())
    assert main(["plan", "spec.yaml", "--set", "searcher=auto"]) == 0
    printed = capsys.readouterr().err
    assert "auto picked searcher grid with scheduler asha: it can try all 12" in printed
    assert main(["plan", "spec.yaml"]) == 0
    assert "picked" not in capsys.readouterr().err


def test_the_reason_names_a_scheduler_only_if_there_is_one():
    assert picked(samples=60).searcher.reason.startswith(
        "auto picked searcher mobster with scheduler promotion: results"
    )
    several = picked(samples=60, objective=COST).searcher.reason
    assert several == "auto picked searcher tpe: there are several objectives"
