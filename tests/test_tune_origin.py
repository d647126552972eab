"""What a run that is made from another one takes over, without training it."""

import json
import shutil
from pathlib import Path

import pytest
import yaml

from data_prep.reader import read_dataset
from models.file_hash import content_hash
from tests.support.in_process import few_pictures_fixture  # noqa: F401 - fixtures, used by name
from tests.support.sweeps import SPEC, new_sweep, small_spec, train
from tune.commands.kfold import kfold, summary
from tune.commands.retrain import Request, retrain
from tune.run.directory import GROUPS_FILE, LEDGER_FILE, PROVENANCE_FILE, RunError, best_weights
from tune.session.origin import find_origin
from tune.session.run_directory import write_spec

CHANGES = {
    "objective": {"metric": "val_loss", "mode": "min", "at": "last"},
    "resources": {"cpus": 2.0, "trials_at_once": 3},
    "retries": 7,
    "keep": "all",
    "loggers": ["tensorboard"],
    "budget": {"hours": 3.0},
    "scheduler": {"name": "none"},
    "fixed": {**small_spec().fixed, "epochs": 1},
    "space": {"kernel_size": [3, 5]},
    "replicates": 2,
    "finalists": 1,
}


@pytest.fixture
def trained(tmp_path, few_pictures):
    """A finished run in a folder with a space, and its trials; the third is the incumbent."""
    run = tmp_path / "my runs" / "first"
    run.mkdir(parents=True)
    spec = small_spec(**CHANGES, data="as the spec named it")
    write_spec(run, spec)
    fingerprint = read_dataset(few_pictures).manifest.fingerprint
    dataset = {"path": str(few_pictures), "fingerprint": fingerprint}
    (run / PROVENANCE_FILE).write_text(json.dumps({"dataset": dataset}))
    sweep, ledger = new_sweep(spec)
    trials = [train(sweep, accuracy) for accuracy in (0.3, 0.4, 0.5, 0.2)]
    assert sweep.finished
    for trial in trials:
        best_weights(run, trial.id).parent.mkdir(parents=True)
        best_weights(run, trial.id).write_text(trial.id)
    (run / LEDGER_FILE).write_text("".join(json.dumps(event) + "\n" for event in ledger))
    return run, trials


@pytest.fixture
def asked(monkeypatch):
    """What the commands ask a session to start: spec, root and what is carried."""
    asked = []

    def start(spec, root, carried=None, **_):
        asked.append((spec, root, carried))
        return root / spec.name, None

    monkeypatch.setattr("tune.commands.kfold.start", start)
    monkeypatch.setattr("tune.commands.retrain.start", start)
    return asked


def test_folds_are_trained_as_the_incumbent_was(trained, asked, tmp_path, few_pictures):
    run, trials = trained
    kfold(run, tmp_path / "new", folds=4, repeats=3)
    spec, root, carried = asked.pop()
    assert (spec.name, root, spec.data) == ("first-kfold", tmp_path / "new", str(few_pictures))
    assert (spec.folds, spec.repeats, spec.seed, spec.space) == (4, 3, 4, {})
    assert trials[2].config["seed"] == 4, "the incumbent is the second replicate"
    expected = {k: v for k, v in trials[2].config.items() if k not in ("seed", "fold", "folds")}
    assert spec.fixed == expected
    dumped = spec.model_dump(mode="json")
    kept = ("objective", "resources", "retries", "keep", "loggers")
    assert {key: dumped[key] for key in kept} == {
        **{key: CHANGES[key] for key in kept},
        "resources": {"cpus": 2.0, "gpus": 0, "trials_at_once": 3},
    }
    assert (spec.budget.hours, spec.replicates, spec.scheduler.name) == (None, 1, "none")
    assert carried.groups is None


def test_another_trial_name_and_dataset_are_passed_on(trained, asked, tmp_path, few_pictures):
    run, trials = trained
    moved = shutil.copytree(few_pictures, tmp_path / "moved here")
    groups = run / GROUPS_FILE
    groups.write_text("image_id,age\n" + read_dataset(moved).image_ids[0] + ",child\n")
    kfold(
        run, tmp_path, folds=2, repeats=1, trial_id=trials[1].id, name="other",
        data=str(moved), overrides=["retries=1"],
    )  # fmt: skip
    spec, _, carried = asked.pop()
    assert (spec.name, spec.data, spec.retries) == ("other", str(moved), 1)
    assert spec.fixed["kernel_size"] == trials[1].config["kernel_size"] == 5
    assert spec.seed == 3
    assert carried.groups == groups


def test_a_spec_is_judged_on_folds_under_its_own_name(asked, tmp_path):
    path = tmp_path / "my specs" / "small.yaml"
    path.parent.mkdir()
    none = {"scheduler": {"name": "none"}}
    path.write_text(yaml.safe_dump({**SPEC, **none}))
    kfold(path, tmp_path, folds=4, repeats=3, overrides=["fixed.epochs=3", "name=renamed"])
    spec, _, carried = asked.pop()
    assert (spec.name, spec.folds, spec.repeats) == ("renamed-kfold", 4, 3)
    assert (spec.fixed["epochs"], spec.data, spec.seed) == (3, "data/none", 3)
    assert carried is None
    kfold(path, tmp_path, folds=2, repeats=1, name="own", data="a b: c")
    spec, _, _ = asked.pop()
    assert (spec.name, spec.data) == ("own", "a b: c")


def test_a_retraining_repeats_the_trial_but_for_what_is_asked(trained, asked, tmp_path, capsys):
    run, trials = trained
    made, _ = retrain(
        Request(run=run, sampling={"balance": "label"}, epochs=4, overrides=("retries=1",)),
        tmp_path,
    )
    spec, _, carried = asked.pop()
    assert made == tmp_path / "first-retrain"
    weights = best_weights(run, trials[2].id)
    assert carried.initial == weights
    assert carried.origin == {"run": str(run), "trial_id": trials[2].id}
    assert spec.fixed["initial"] == content_hash(weights)
    assert (spec.fixed["balance"], spec.fixed["epochs"], spec.seed) == ("label", 4, 4)
    assert (spec.retries, spec.objective.metric, spec.folds) == (1, "val_loss", None)
    retrain(
        Request(run=run, sampling={"sample_weights": "label=bored:3"}, from_scratch=True,
                trial_id=trials[0].id, name="again"), tmp_path
    )  # fmt: skip
    spec, _, carried = asked.pop()
    assert (spec.name, spec.fixed["epochs"], spec.fixed["kernel_size"]) == ("again", 1, 3)
    assert "initial" not in spec.fixed
    assert (carried.initial, carried.hashes) == (None, {})
    dataset = read_dataset(Path(spec.data))
    in_train = dataset.splits == "train"
    bored = dataset.manifest.classes.index("bored")
    count = int((dataset.labels[in_train] == bored).sum())
    told = capsys.readouterr().err.splitlines()
    assert told == [f"label=bored: {count} of {in_train.sum()} training pictures"]


def test_columns_that_a_run_carries_go_on_with_its_retraining(trained, asked, tmp_path):
    run, _ = trained
    dataset = find_origin(run).dataset
    groups = run / GROUPS_FILE
    rows = [f"{name},{'child' if row % 3 else 'adult'}" for row, name in
            enumerate(dataset.image_ids)]  # fmt: skip
    groups.write_text("\n".join(["image_id,age", *rows]) + "\n")
    retrain(Request(run=run, sampling={"oversample": "age=child:2"}), tmp_path)
    spec, _, carried = asked.pop()
    assert carried.groups == groups
    assert spec.fixed["groups"] == content_hash(groups)
    other = tmp_path / "other ages.csv"
    other.write_text(groups.read_text().replace(",age", ",years"))
    request = Request(run=run, sampling={"oversample": "years=child:2"}, groups=other)
    groups.unlink()
    retrain(request, tmp_path)
    assert asked.pop()[2].groups == other


def test_an_origin_is_the_incumbent_or_the_trial_that_is_named(trained):
    run, trials = trained
    assert find_origin(run).trial.id == trials[2].id
    for asked in (trials[3].id, str(trials[3].number), f"{trials[3].name} {trials[3].draw}"):
        assert find_origin(run, trial_id=asked).trial.id == trials[3].id
    with pytest.raises(RunError, match="has no trial nobody; `python -m analysis table"):
        find_origin(run, trial_id="nobody")


def test_the_summary_tells_the_mean_and_the_range_of_each_configuration(tmp_path):
    spec = small_spec(
        scheduler={"name": "none"}, space={"kernel_size": [3, 5]}, folds=3,
        fixed={**small_spec().fixed, "epochs": 1},
    )  # fmt: skip
    sweep, _ = new_sweep(spec)
    for accuracy in (0.5, 0.25, 0.375, 0.75, 0.25):
        train(sweep, accuracy)
    last = sweep.next_trial()
    sweep.start(last.id, 1.0)
    sweep.fail(last.id, "no")
    first, second = dict.fromkeys(trial.name for trial in sweep.trials.values())
    run = tmp_path / "a b"
    assert summary(run, sweep) == (
        f"val_accuracy: {first} 0.3750 on average (0.2500 to 0.5000 on 3 folds); "
        f"{second} 0.5000 on average (0.2500 to 0.7500 on 2 folds); by fold, with the corrected "
        f"interval: `python -m analysis table '{run}' --what folds`"
    )


def test_a_derived_run_is_named_after_the_folder_of_its_origin_however_that_is_written(
    trained, asked, tmp_path, monkeypatch
):
    run, trials = trained
    monkeypatch.chdir(run)
    kfold(Path(), tmp_path, folds=2, repeats=1)
    retrain(Request(run=Path(), sampling={"balance": "label"}), tmp_path)
    (folded, _, _), (retrained, _, carried) = asked
    assert (folded.name, retrained.name) == ("first-kfold", "first-retrain")
    assert carried.origin == {"run": str(run), "trial_id": trials[2].id}


def test_weights_of_the_first_fold_are_not_retrained_either(trained, asked, tmp_path):
    run, _ = trained
    folds = {"folds": 2, "space": {"kernel_size": [3]}, "replicates": 1}
    spec = small_spec(**{**CHANGES, **folds}, data="as the spec named it")
    write_spec(run, spec)
    sweep, ledger = new_sweep(spec)
    trials = [train(sweep, 0.5), train(sweep, 0.4)]
    (run / LEDGER_FILE).write_text("".join(json.dumps(event) + "\n" for event in ledger))
    for trial in trials:
        request = Request(run=run, sampling={"balance": "label"}, trial_id=trial.id)
        fold = trial.config["fold"]
        with pytest.raises(RunError, match=f"was trained on fold {fold}, .* add --from-scratch"):
            retrain(request, tmp_path)
    assert [trial.config["fold"] for trial in trials] == [0, 1]
    assert asked == []
