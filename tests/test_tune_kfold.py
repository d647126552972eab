import os
import re
import signal
import subprocess
import sys
import time
from math import sqrt
from pathlib import Path

import numpy as np
import pytest

from analysis.folds.table import AVERAGE, folds
from analysis.run.run_data import read_run
from data_prep.manifest import FOLDS, DatasetManifest
from data_prep.reader import read_dataset
from models.config import TrainConfig
from tests.support.in_process import (  # noqa: F401 - fixtures, used by name
    extend,
    few_pictures_fixture,
    finished_run_fixture,
    kfold,
    run_fixture,
    tiny_spec,
)
from tests.support.sweeps import new_sweep, play, small_spec, train
from tune.commands.kfold import summary
from tune.commands.plan import plan_sweep
from tune.run.directory import LEDGER_FILE, TRIALS_FILE, RunError
from tune.run.ledger import read_events
from tune.run.tables import read_predictions
from tune.run.trial import DATASET_FOLDS, Status
from tune.session.run_directory import read_spec
from tune.sweep.spec import SpecError, override_spec, parse_spec
from tune.sweep.sweep import Sweep


def test_the_incumbent_is_judged_once_a_repeat_on_every_picture_outside_test(
    run, tmp_path, few_pictures
):
    made, sweep = kfold(run, tmp_path, folds=3, repeats=2)
    assert made == tmp_path / "tiny-kfold"
    assert sweep.finished
    incumbent = Sweep(read_spec(run), fingerprint="", events=read_events(run)).incumbent
    trials = list(sweep.trials.values())
    assert {trial.configuration_id for trial in trials} == {incumbent.configuration_id}
    assert [trial.config["fold"] for trial in trials] == list(range(6))
    dataset = read_dataset(few_pictures)
    place = {name: row for row, name in enumerate(dataset.image_ids.tolist())}
    for repeat in range(2):
        judged = []
        for trial in trials[3 * repeat : 3 * repeat + 3]:
            ids = read_predictions(made, trial.id)["image_id"].to_pylist()
            rows = [place[one] for one in ids]
            others = np.setdiff1d(np.flatnonzero(dataset.folds >= 0), rows)
            groups = dataset.duplicate_groups
            assert not set(groups[rows].tolist()) & set(groups[others].tolist())
            judged += rows
        assert sorted(judged) == np.flatnonzero(dataset.splits != "test").tolist()

    table = folds(read_run(made))
    frame = table.frame
    assert frame["repeat"].tolist()[:6] == [0, 0, 0, 1, 1, 1]
    assert frame["fold"].tolist() == ["0", "1", "2", "0", "1", "2", AVERAGE]
    accuracies = np.array([sweep.objective(trial) for trial in trials])
    average = frame.iloc[-1]
    assert average["accuracy"] == pytest.approx(accuracies.mean())
    assert average["n"] == (dataset.splits != "test").sum()
    # 2.570582: the 97.5 % point of t with five degrees of freedom.
    half = 2.570582 * accuracies.std(ddof=1) * sqrt(1 / 6 + 1 / 2)
    assert average["accuracy_high"] - average["accuracy"] == pytest.approx(half, rel=1e-6)
    assert f"{accuracies.mean():.4f} on average" in summary(made, sweep)

    more = extend(made, overrides=["repeats=3"])
    assert [trial.config["fold"] for trial in more.trials.values()] == list(range(9))
    with pytest.raises(RunError, match="already holds a run"):
        kfold(run, tmp_path, folds=3, repeats=1)


def test_ten_folds_are_the_dataset_s_own():
    assert DATASET_FOLDS == FOLDS
    ten, five = (small_spec(scheduler={"name": "none"}, folds=k) for k in (10, 5))
    own = TrainConfig(fold=3)
    assert ten.config({"fold": 3}, seed=0).folds is None
    assert own.trial_id("f") != TrainConfig(fold=3, folds=5).trial_id("f")
    assert five.config({"fold": 3}, seed=0).folds == 5
    assert TrainConfig(fold=3, folds=5).configuration_id == TrainConfig().configuration_id


def test_a_spec_trains_each_of_its_configurations_on_each_fold():
    spec = small_spec(scheduler={"name": "none"}, folds=4, space={"kernel_size": [3, 5]})
    sweep, ledger = new_sweep(spec)
    assert sweep.expected == 8
    play(sweep, slots=3)
    assert {trial.status for trial in sweep.trials.values()} == {Status.COMPLETED}
    assert len({trial.configuration_id for trial in sweep.trials.values()}) == 2
    again, _ = new_sweep(spec, ledger)
    assert again.trials == sweep.trials


def test_a_plan_counts_a_configuration_once_and_its_folds_as_trials(few_pictures):
    manifest = DatasetManifest.read(few_pictures)
    spec = tiny_spec(few_pictures, folds=5)
    plan = plan_sweep(spec, manifest, cores=1)
    assert (len(plan.configurations), plan.trials) == (2, 10)


def test_what_cannot_be_judged_on_folds_is_refused_without_a_trace(run, tmp_path):
    before = sorted(tmp_path.rglob("*"))
    for what, options, error, message in (
        (run, {"folds": 900}, ValueError, "900 folds need .* use fewer folds"),
        (run, {"folds": 1}, SpecError, "folds: .*greater than or equal to 2, but got 1"),
        (run, {"trial_id": "nobody"}, RunError, "has no trial nobody"),
        (tmp_path, {}, RunError, "is not a run directory"),
        (tmp_path / "none.yaml", {}, SpecError, "cannot read .*none.yaml"),
        (tmp_path / "none.yaml", {"trial_id": "a"}, RunError, "--trial names a trial of a run"),
    ):
        with pytest.raises(error, match=message):
            kfold(what, tmp_path, **{"folds": 2, "repeats": 1, **options})
    assert sorted(tmp_path.rglob("*")) == before


def test_early_stopping_and_sampling_searchers_do_not_go_with_folds():
    for changes in ({}, {"searcher": {"name": "tpe", "samples": 3}, "scheduler": {"name": "none"}}):
        with pytest.raises(SpecError, match=r"folds: each configuration is trained whole .* kfold"):
            small_spec(folds=3, **changes)
    with pytest.raises(SpecError, match=r"weights under fixed\.initial have seen pictures"):
        parse_spec(
            {"name": "a", "data": "d", "fixed": {"initial": "0" * 16}, "space": {}, "folds": 3}
        )


def test_an_unfinished_run_has_no_incumbent_to_take(run, tmp_path):
    run = run.rename(run.with_name("my run"))
    ledger = run / LEDGER_FILE
    lines = ledger.read_text().splitlines(keepends=True)
    ledger.write_text("".join(line for line in lines if "finalists_chosen" not in line))
    told = f"is not finished, so its incumbent may change; .* resume '{re.escape(str(run))}'`, or"
    with pytest.raises(RunError, match=told):
        kfold(run, tmp_path, folds=2, repeats=1)
    named = next(iter(Sweep(read_spec(run), fingerprint="", events=read_events(run)).trials))
    _, sweep = kfold(run, tmp_path, folds=2, repeats=1, trial_id=named, name="named")
    assert len(sweep.trials) == 2


@pytest.mark.long
def test_a_killed_k_fold_run_resumes_to_the_same_table(tmp_path, few_pictures):
    spec = override_spec(tiny_spec(few_pictures), ["fixed.epochs=2"])
    (tmp_path / "spec.yaml").write_text(spec.to_yaml())
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}

    def tune(*words):
        command = [sys.executable, "-m", "tune", *words]
        return subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE)

    whole = tune("kfold", "spec.yaml", "--folds", "3")
    assert b"on average" in whole.communicate(timeout=300)[0]
    cut = tune("kfold", "spec.yaml", "--folds", "3", "--name", "cut")
    ledger = tmp_path / "runs/cut" / LEDGER_FILE
    while not ledger.exists() or b'"measurement"' not in ledger.read_bytes():
        assert cut.poll() is None
        time.sleep(0.01)
    cut.send_signal(signal.SIGKILL)
    cut.communicate()
    again = tune("resume", "runs/cut")
    again.communicate(timeout=300)
    assert again.returncode == 0
    tables = [folds(read_run(tmp_path / "runs" / name)).frame for name in ("tiny-kfold", "cut")]
    assert (tmp_path / "runs/cut" / TRIALS_FILE).is_file()
    assert tables[0].equals(tables[1])


def test_a_summary_tells_the_average_and_the_worst_and_best_fold_of_each_configuration(tmp_path):
    spec = small_spec(
        scheduler={"name": "none"}, folds=3, space={"kernel_size": [3, 5]},
        fixed={**small_spec().fixed, "epochs": 1},
    )  # fmt: skip
    sweep, _ = new_sweep(spec)
    first, second = [train(sweep, value) for value in (0.5, 0.25, 0.75, 0.5, 0.4, 0.3)][::3]
    failed, _ = new_sweep(spec)
    failed.fail(failed.next_trial().id, "no")
    train(failed, 0.5)
    line = (
        "; by fold, with the corrected interval: "
        f"`python -m analysis table {tmp_path} --what folds`"
    )
    assert summary(tmp_path, sweep) == (
        f"val_accuracy: {first.name} 0.5000 on average (0.2500 to 0.7500 on 3 folds); "
        f"{second.name} 0.4000 on average (0.3000 to 0.5000 on 3 folds){line}"
    )
    assert "(0.5000 to 0.5000 on 1 folds)" in summary(tmp_path, failed)


def test_a_k_fold_run_of_a_spec_has_the_name_of_the_spec_and_not_of_its_file(tmp_path, monkeypatch):
    started = []
    monkeypatch.setattr(
        "tune.commands.kfold.start", lambda spec, root, **_: started.append((spec, root))
    )
    path = tmp_path / "my file.yaml"
    path.write_text(small_spec(scheduler={"name": "none"}).to_yaml())
    kfold(path, tmp_path, folds=3, repeats=2)
    kfold(path, tmp_path, folds=3, repeats=2, name="mine", data="else where", overrides=["seed=8"])
    specs = [(spec.name, spec.data, spec.seed, spec.folds, spec.repeats) for spec, _ in started]
    assert specs == [("small-kfold", "data/none", 3, 3, 2), ("mine", "else where", 8, 3, 2)]
    with pytest.raises(RunError, match="--trial names a trial of a run, but"):
        kfold(path, tmp_path, folds=3, repeats=2, trial_id="t")


def test_a_trial_of_the_first_fold_says_so():
    sweep, _ = new_sweep(small_spec(folds=3, scheduler="none"))
    draws = [trial.draw for trial in (train(sweep, 0.5), train(sweep, 0.5))]
    assert draws == ["seed 3 fold 0", "seed 3 fold 1"]
