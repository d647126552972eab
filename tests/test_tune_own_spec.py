"""Specs of the user's own training code, and their plan."""

import pytest

from fairsweep.errors import MissingFileError
from tests.support.in_process import few_pictures_fixture  # noqa: F401
from tests.support.own_training import CURVE, folder_fixture, own_spec, write_code  # noqa: F401
from tests.support.sweeps import WORKER, new_sweep
from tune.__main__ import main
from tune.run.directory import LEDGER_FILE
from tune.sweep.spec import SpecError, load_spec, override_spec, parse_spec

YAML = """name: own
train: mine.training:train
objective: val_f1
fixed:
  epochs: 3
space:
  rate: [0.1, 0.5]
"""


def refusal(folder, text):
    (folder / "own.yaml").write_text(text)
    with pytest.raises(SpecError) as refused:
        load_spec(folder / "own.yaml")
    return str(refused.value)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("rate:", "rat:", "'rat' is not a key of space; the nearest one is 'rate'"),
        ("[0.1, 0.5]", "[0.1, fast]", "rate must be a number, but got 'fast'"),
        ("  epochs: 3", "  depth: 2", "fixed.epochs is missing: after how many epochs a trial of"),
        ("epochs: 3", "epochs: 0", "epochs must be a whole number from 1 to 1000000, but got 0"),
        ("rate: [0.1, 0.5]", "depth: [1]", "mine.training:train needs a value of rate"),
        ("rate:", "seed: [1]\n  rate:", "seed is set by the sweep, not under fixed or space"),
        ("val_f1", "kappa", "kappa may be better when larger or when smaller; write mode"),
        ("val_f1", "a b", "must be a metric that your code yields"),
        ("val_f1", "[val_f1, parameters]", "parameters of own training code are not known"),
        (":train", ":trian", "mine.training has no 'trian'; the nearest is 'train'"),
        ("mine.training", "mine.missing", "train: mine.missing:train: there is no module"),
        ("mine.training:train", "train.py", "own code is named package.module:name"),
    ],
)
def test_a_wrong_spec_is_refused_with_the_rule(folder, old, new, message):
    write_code(folder)
    told = refusal(folder, YAML.replace(old, new))
    assert message in told
    assert "own.yaml" in told
    assert "\n" not in told


def test_an_argument_that_is_a_column_of_the_tables_is_refused(folder):
    write_code(folder, CURVE.replace("rate", "status"))
    assert "status, which is the name of a column" in refusal(folder, YAML)
    write_code(folder, CURVE.replace("rate", "train"))
    assert "train, which is the name of a column" in refusal(folder, YAML)


@pytest.mark.parametrize(
    ("metric", "mode"),
    [
        ("loss", "min"), ("val_mae", "min"), ("train_perplexity", "min"), ("test_error", "min"),
        ("accuracy", "max"), ("val_auc", "max"), ("macro_f1", "max"), ("val_score", "max"),
        ("val_F1", "max"), ("Loss", "min"),
    ],
)  # fmt: skip
def test_the_direction_follows_from_the_last_word_of_a_metric(folder, metric, mode):
    write_code(folder)
    assert own_spec(objective=metric).objective.mode == mode


def test_any_name_has_the_direction_that_the_spec_gives(folder):
    write_code(folder)
    for mode in ("min", "max"):
        objective = {"metric": "kappa", "mode": mode}
        assert own_spec(objective=objective).objective.mode == mode


def test_code_with_keyword_arguments_of_any_name_takes_any_hyperparameter(folder):
    write_code(folder, "def train(*, rate: float = 0.1, **others):\n    yield {}\n")
    spec = own_spec(space={"rate": [1], "moments": [3, 4]})
    config = spec.config({"rate": 1, "moments": 3}, seed=2)
    assert config.values == {"rate": 1.0, "moments": 3}
    assert isinstance(config.values["rate"], float)


def test_a_spec_reads_back_without_its_code(folder):
    write_code(folder)
    spec = own_spec()
    (folder / "mine" / "training.py").unlink()
    (folder / "spec.yaml").write_text(spec.to_yaml())
    assert load_spec(folder / "spec.yaml", recorded=True) == spec
    assert override_spec(spec, ["fixed.epochs=4"]).code == spec.code
    with pytest.raises(SpecError, match="code is the record of train"):
        parse_spec({"name": "a", "train": "mine.training:train", "space": {}}, recorded=True)


def test_a_plan_checks_every_value_and_trains_nothing(folder, capsys):
    write_code(folder)
    (folder / "own.yaml").write_text(YAML)
    assert main(["plan", "own.yaml"]) == 0
    told = capsys.readouterr().out
    assert "train_rate=0.1" in told
    assert "not known" in told
    assert "2 trials of 2 configurations, trained by mine.training:train" in told
    assert not (folder / "trained.txt").exists()


@pytest.mark.parametrize(("rows", "listed", "left"), [(2, 2, ""), (1, 1, "and 1 more")])
def test_a_plan_lists_no_more_configurations_than_fit(
    folder, capsys, monkeypatch, rows, listed, left
):
    monkeypatch.setattr("tune.commands.plan._MOST_ROWS", rows)
    write_code(folder)
    (folder / "own.yaml").write_text(YAML)
    assert main(["plan", "own.yaml"]) == 0
    told = capsys.readouterr().out
    assert told.count("train_rate=") == listed
    assert (" more\n" in told, left in told) == (bool(left), True)


def test_a_missing_path_is_told_before_anything_is_written(folder):
    from tests.support.in_process import start

    write_code(folder)
    with pytest.raises(MissingFileError, match=r"there is nothing at /.*/nowhere;"):
        start(own_spec(data="nowhere"), folder / "runs")
    assert not (folder / "runs").exists()


def test_trainings_of_own_code_are_not_fused(folder):
    write_code(folder)
    sweep, _ = new_sweep(own_spec(replicates=4, space={"rate": [0.5]}, fixed={"epochs": 1}))
    (first,) = sweep.next_bundle(1).trials
    sweep.start(first, 1.0)
    sweep.report(first, 1, {"val_f1": 0.5, "seconds": 1.0}, WORKER)
    bundle = sweep.next_bundle(1)
    assert (len(bundle.trials), bundle.probe, len(sweep.trials)) == (1, False, 4)


def test_own_code_is_found_beside_its_spec_but_not_in_the_folder_of_a_run(folder, monkeypatch):
    write_code(folder)
    (folder / "own.yaml").write_text(YAML)
    elsewhere = folder / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.chdir(elsewhere)
    assert load_spec(folder / "own.yaml").train == "mine.training:train"
    (folder / LEDGER_FILE).touch()
    with pytest.raises(SpecError, match=r"train: mine\.training:train: there is no module"):
        load_spec(folder / "own.yaml")
