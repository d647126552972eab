"""Results of other tools become run directories: what is known is kept, and nothing is invented."""

import json
import subprocess
import sys
import tarfile
from pathlib import Path

import numpy as np
import optuna
import pandas as pd
import pytest

from analysis.__main__ import main
from analysis.export import export
from analysis.imports.choices import Choices
from analysis.imports.csv_file import read_csv
from analysis.imports.optuna_study import read_optuna
from analysis.imports.ray_results import read_ray
from analysis.imports.tensorboard_events import read_tensorboard
from analysis.imports.writing import write_run
from analysis.report.tables import NAMED, TABLES
from analysis.run.run_data import read_run
from analysis.statistics.estimate import NotKnownError
from fairsweep.errors import UserError
from tests.support.found_trials import found_trials, write_found
from tune.__main__ import main as tune
from tune.run.ledger import read_events
from tune.run.trial import Status

ROOT = Path(__file__).parent.parent


def imported(found, out, **choices):
    written = write_run(found, out, Choices(**choices))
    return read_run(written.run), written


def told(capsys, *words):
    code = main(["import", *map(str, words)])
    output = capsys.readouterr()
    return code, output.out + output.err


# Ray Tune: its folder was written by Ray Tune itself, with `tests/support/ray_tiny.py`.


@pytest.fixture(scope="module")
def ray_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("ray")
    with tarfile.open(ROOT / "tests/fixtures/ray_results.tar.xz") as archive:
        archive.extractall(folder, filter="data")
    return folder / "tiny"


@pytest.mark.long
def test_a_folder_that_ray_tune_writes_now_is_read(tmp_path):
    script = ROOT / "tests/support/ray_tiny.py"
    subprocess.run([sys.executable, script, tmp_path / "results"], cwd=tmp_path, check=True)
    check_ray(tmp_path / "results/tiny", tmp_path / "run")


def test_a_folder_of_ray_tune_gives_its_trials_curves_and_statuses(ray_folder, tmp_path):
    check_ray(ray_folder, tmp_path / "run")


def check_ray(folder, out):
    run, written = imported(read_ray(folder), out)
    assert run.info.objective == {"metric": "loss", "mode": "min", "at": "best"}
    assert (written.trials, written.configurations, written.replicated) == (8, 4, 4)
    results = [
        json.loads(line)
        for path in folder.rglob("result.json")
        for line in path.read_text().splitlines()
    ]
    assert len(run.measurements) == len(results)
    curves = run.trials.merge(run.measurements, on="trial_id")
    measured = {
        (r["config"]["lr"], r["config"]["seed"], r["training_iteration"], r["loss"])
        for r in results
    }
    kept = curves[["lr", "seed", "epoch", "loss"]].itertuples(index=False, name=None)
    assert set(kept) == measured
    assert run.info.searched == ("lr",)
    failed = run.trials[run.trials["status"] == Status.FAILED]
    assert set(failed["lr"]) == {0.5}
    assert failed["reason"].str.contains("boom").all()
    assert set(run.trials["status"]) == {Status.COMPLETED, Status.EARLY_STOPPED, Status.FAILED}
    assert run.measurements["seconds"].notna().all()


def test_the_ledger_of_an_imported_run_is_read_as_any_other(ray_folder, tmp_path):
    run, _ = imported(read_ray(ray_folder), tmp_path / "run")
    events = read_events(run.path)
    times = [event.time for event in events]
    assert times == sorted(times)
    ends = [event for event in events if type(event).__name__ == "TrialEnded"]
    assert {event.trial: event.status for event in ends} == dict(
        zip(run.trials["trial_id"], run.trials["status"], strict=True)
    )


def test_nothing_of_a_foreign_folder_is_run_or_unpickled(ray_folder, tmp_path):
    words = ["import", "ray", str(ray_folder), "--out", str(tmp_path / "run")]
    code = (
        "import sys, pickle; pickle.loads = pickle.load = None\n"
        "from analysis.__main__ import main\n"
        f"assert main({words!r}) == 0\n"
        "assert not {'ray', 'torch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)


# Optuna


def objective(trial):
    rate = trial.suggest_float("rate", 1e-3, 1e-1, log=True)
    kind = trial.suggest_categorical("kind", ["a", "b"])
    for step in range(4):
        trial.report(rate + (kind == "b") + 1 / (1 + step), step)
        if trial.number % 5 == 4 and step == 1:
            raise optuna.TrialPruned
    if trial.number == 3:
        raise ValueError("broken")
    return rate + (kind == "b") + 1 / 4


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    storage = f"sqlite:///{tmp_path_factory.mktemp('optuna') / 'study.db'}"
    made = optuna.create_study(
        storage=storage, study_name="mine", sampler=optuna.samplers.RandomSampler(seed=0)
    )
    made.optimize(objective, n_trials=10, catch=(ValueError,))
    return storage, made


def test_a_study_of_optuna_keeps_parameters_values_and_states(study, tmp_path):
    storage, made = study
    run, _ = imported(read_optuna(storage, None), tmp_path / "run")
    assert run.info.objective == {"metric": "value", "mode": "min", "at": "best"}
    assert run.info.sampling == "adaptive"
    states = {"COMPLETE": "COMPLETED", "PRUNED": "EARLY_STOPPED", "FAIL": "FAILED"}
    for trial, row in zip(made.trials, run.trials.to_dict("records"), strict=True):
        assert row["status"] == states[trial.state.name]
        assert {"rate": row["rate"], "kind": row["kind"]} == trial.params
        curve = run.measurements[run.measurements["trial_id"] == row["trial_id"]]
        shifted = {step + 1: value for step, value in trial.intermediate_values.items()}
        assert dict(zip(curve["epoch"], curve["value"], strict=True)) == shifted
        if trial.state.name == "COMPLETE":
            assert row["best_value"] == trial.value


def test_a_value_that_is_no_intermediate_value_is_a_metric_of_its_own(tmp_path):
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    made = optuna.create_study(storage=storage, direction="maximize")

    def train(trial):
        x = trial.suggest_int("x", 0, 3)
        trial.report(float(x), 1)
        trial.report(float(x + 1), 2)
        return 100.0 + x

    made.optimize(train, n_trials=4)
    run, _ = imported(read_optuna(storage, None), tmp_path / "run")
    assert run.trials["last_value"].tolist() == [100.0 + x for x in run.trials["x"]]
    assert run.measurements["intermediate_value"].notna().all()


@pytest.mark.parametrize("searcher", ["grid", "random"])
def test_an_export_that_is_imported_again_gives_the_same_tables(searcher, tmp_path):
    trials = found_trials(metric="rmse", replicates=2)
    first = read_run(write_found(tmp_path / "first", trials, Choices(searcher=searcher)))
    export(first, tmp_path / "study.db")
    again, _ = imported(read_optuna(str(tmp_path / "study.db"), None), tmp_path / "again")
    for make in NAMED.values():
        try:
            expected = make(first)
        except NotKnownError:
            with pytest.raises(NotKnownError):
                make(again)
            continue
        pd.testing.assert_frame_equal(make(again).frame, expected.frame, check_dtype=False)
    for left, right in zip(TABLES["by"](again), TABLES["by"](first), strict=True):
        pd.testing.assert_frame_equal(left.frame, right.frame)


# CSV


def csv(tmp_path, text):
    path = tmp_path / "runs.csv"
    path.write_text(text)
    return path


def test_a_table_of_wandb_runs(tmp_path):
    path = csv(
        tmp_path,
        "Name,State,Created,lr,layers,seed,val_loss,accuracy,_step\n"
        "sunny-1,finished,2026-01-01,0.1,2,1,0.5,0.8,10\n"
        "calm-2,finished,2026-01-01,0.1,2,2,0.6,0.7,10\n"
        "wild-3,crashed,2026-01-01,0.2,2,1,,,3\n"
        "warm-4,finished,2026-01-01,0.2,3,1,0.4,0.9,10\n",
    )
    run, written = imported(read_csv(path, metric="val_loss"), tmp_path / "run", metric="val_loss")
    assert run.provenance["imported"]["tool"] == "W&B (CSV)"
    assert run.info.objective["mode"] == "min"
    assert run.info.searched == ("lr", "layers")
    assert run.trials["status"].tolist() == ["COMPLETED", "COMPLETED", "FAILED", "COMPLETED"]
    assert run.trials["best_val_loss"].dropna().tolist() == [0.5, 0.6, 0.4]
    assert (written.trials, written.configurations, written.replicated) == (4, 3, 1)
    assert "Created" in written.notes[0]


def test_runs_of_wandb_with_config_and_summary_as_json(tmp_path):
    frame = pd.DataFrame(
        {
            "Name": ["a", "b"],
            "State": ["finished", "finished"],
            "config": [json.dumps({"net": {"width": w}, "seed": 0}) for w in (8, 16)],
            "summary": [json.dumps({"score": s}) for s in (0.5, 0.75)],
        }
    )
    frame.to_csv(tmp_path / "runs.csv", index=False)
    run, _ = imported(read_csv(tmp_path / "runs.csv"), tmp_path / "run")
    assert run.trials["net.width"].tolist() == [8, 16]
    assert run.trials["best_score"].tolist() == [0.5, 0.75]


def test_runs_of_mlflow(tmp_path):
    path = csv(
        tmp_path,
        "run_id,experiment_id,status,artifact_uri,metrics.rmse,params.depth,params.random_state,"
        "tags.mlflow.user\n"
        "aa,0,FINISHED,x,1.5,3,7,me\n"
        "bb,0,FINISHED,x,1.25,3,8,me\n"
        "cc,0,RUNNING,x,,4,7,me\n",
    )
    run, written = imported(read_csv(path), tmp_path / "run")
    assert run.provenance["imported"]["tool"] == "MLflow (CSV)"
    assert run.trials["status"].tolist() == ["COMPLETED", "COMPLETED", "INTERRUPTED"]
    assert run.trials["seed"].tolist() == [7, 8, 7]
    assert (written.configurations, written.replicated) == (2, 1)


def test_a_row_per_epoch_with_columns_of_other_names(tmp_path):
    rows = [
        {"r": rate, "draw": draw, "t": t, "gain": rate * t + draw, "noise": 0.5}
        for rate in (1, 2)
        for draw in (1, 2)
        for t in (1, 2, 3)
    ]
    pd.DataFrame(rows).to_csv(tmp_path / "runs.csv", index=False)
    found = read_csv(
        tmp_path / "runs.csv", metric="gain", epoch="t", configuration=["r"], seed="draw"
    )
    run, written = imported(found, tmp_path / "run", metric="gain", mode="max", seed="draw")
    assert (written.trials, written.configurations, written.replicated) == (4, 2, 2)
    assert run.measurements.groupby("trial_id")["epoch"].apply(list).tolist() == [[1, 2, 3]] * 4
    assert run.trials["best_gain"].tolist() == [4.0, 5.0, 7.0, 8.0]
    assert "noise" in run.measurements


def test_a_training_that_occurs_twice_is_left_out_and_named(tmp_path):
    path = csv(tmp_path, "lr,seed,loss\n0.1,1,0.5\n0.1,1,0.5\n0.2,1,0.4\n")
    run, written = imported(read_csv(path), tmp_path / "run")
    assert len(run.trials) == 2
    assert written.notes[-1].endswith(": row 3.")


def test_runs_of_one_name_are_separate_trainings(tmp_path):
    path = csv(tmp_path, "Name,State,lr,loss\na,finished,0.1,0.5\na,finished,0.1,0.6\n")
    _, written = imported(read_csv(path), tmp_path / "run")
    assert (written.trials, written.replicated) == (2, 1)


def test_without_a_seed_equal_configurations_are_replicates_unless_all_values_are_equal(tmp_path):
    path = csv(tmp_path, "lr,loss\n0.1,0.5\n0.1,0.51\n0.1,0.5\n")
    run, written = imported(read_csv(path), tmp_path / "run")
    assert (written.trials, written.replicated) == (2, 1)
    assert run.trials["seed"].isna().all()
    assert run.trials["seed"].dtype == "Int64"


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("lr,loss,acc\n1,2,3\n", (), "several metrics (loss, acc)"),
        ("lr,gain\n1,2\n", ("--metric", "gain"), "--mode max or --mode min"),
        ("lr,loss\n1,2\n", ("--metric", "los"), "did you mean loss?"),
        ("lr,loss\n1,2\n", ("--seed", "draw"), "--seed"),
        ("lr,word\n1,a\n", (), "no measurement of any metric"),
    ],
)
def test_what_the_results_do_not_tell_is_asked_in_one_line(
    text, options, message, tmp_path, capsys
):
    path = csv(tmp_path, text)
    code, output = told(capsys, "csv", path, "--out", tmp_path / "run", *options)
    assert code == 2
    assert message in output
    assert len(output.splitlines()) == 1
    assert [p.name for p in tmp_path.iterdir()] == ["runs.csv"]


def test_choices_of_the_command_line_are_taken_and_the_result_is_told(tmp_path, capsys):
    path = csv(tmp_path, "lr,draw,gain\n1,1,2\n1,2,3\n2,1,4\n")
    out = tmp_path / "run"
    options = ("--metric", "gain", "--mode", "max", "--at", "last", "--seed", "draw")
    code, output = told(capsys, "csv", path, "--out", out, *options, "--searcher", "random")
    assert code == 0
    assert output == (
        f"wrote {out}: 3 trials of 2 configurations, 1 of them with other seeds; objective: "
        "max gain at the last epoch\n"
    )
    run = read_run(out)
    assert (run.info.searched, run.info.searcher, run.info.sampling) == (
        ("lr",),
        "random",
        "drawn",
    )
    assert run.trials["seed"].tolist() == [1, 2, 1]


@pytest.mark.parametrize(
    ("searcher", "sampling"), [("grid", "every"), ("random", "drawn"), ("adaptive", "adaptive")]
)
def test_the_command_line_says_how_configurations_were_chosen(tmp_path, capsys, searcher, sampling):
    path = csv(tmp_path, "lr,loss\n1,2\n2,3\n")
    out = tmp_path / "run"
    code, _ = told(capsys, "csv", path, "--out", out, "--searcher", searcher)
    assert code == 0
    assert (read_run(out).info.searcher, read_run(out).info.sampling) == (searcher, sampling)


def test_the_columns_that_the_command_line_names_are_read_and_the_others_are_told(tmp_path, capsys):
    path = csv(tmp_path, "round,size,side,notes,gain\n1,8,1,a,2\n2,8,2,a,3\n1,16,1,b,4\n")
    options = ("--metric", "gain", "--mode", "max", "--epoch", "round", "--configuration", "size")
    code, output = told(capsys, "csv", path, "--out", tmp_path / "run", *options)
    assert code == 0
    assert "2 trials of 2 configurations, none with other seeds; " in output
    assert output.splitlines()[1:] == ["Columns that were not read: notes."]
    assert read_run(tmp_path / "run").info.hyperparameters == ("size", "seed")


def test_the_study_that_the_command_line_names_is_imported(tmp_path, capsys):
    place = tmp_path / "two.journal"
    backend = optuna.storages.journal.JournalFileBackend(str(place))
    storage = optuna.storages.JournalStorage(backend)
    for name, values in (("a", [0.5]), ("b", [0.25, 0.75])):
        made = optuna.create_study(study_name=name, storage=storage)
        made.add_trials([optuna.trial.create_trial(value=value) for value in values])
    code, output = told(capsys, "optuna", place, "b", "--out", tmp_path / "run")
    assert code == 0
    assert ": 2 trials of 1 configurations" in output


def test_an_existing_run_is_not_replaced(tmp_path, capsys):
    path = csv(tmp_path, "lr,loss\n1,2\n2,3\n")
    assert told(capsys, "csv", path, "--out", tmp_path / "run")[0] == 0
    code, output = told(capsys, "csv", path, "--out", tmp_path / "run")
    assert code == 2
    assert "exists already" in output


def test_names_that_tables_use_themselves_are_changed(tmp_path):
    path = csv(
        tmp_path,
        "params.name,params.status,params.seconds,metrics.val/loss\nx,1,2,0.5\ny,2,3,0.25\n",
    )
    run, _ = imported(read_csv(path), tmp_path / "run")
    assert run.info.hyperparameters[:3] == ("config_name", "config_status", "config_seconds")
    assert run.metric.name == "val_loss"


# TensorBoard


def test_event_files_with_hyperparameters(tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    for lr, seed in ((0.1, 0), (0.1, 1), (0.2, 0)):
        with SummaryWriter(str(tmp_path / "logs" / f"{lr}-{seed}")) as writer:
            for step in (1, 2, 3):
                writer.add_scalar("loss/val", lr * step + seed, step)
            writer.add_hparams({"lr": lr, "seed": seed, "kind": "a"}, {"loss/val": 0.0})
    run, written = imported(read_tensorboard(tmp_path / "logs"), tmp_path / "run")
    assert (written.trials, written.configurations, written.replicated) == (3, 2, 1)
    assert run.metric.name == "loss_val"
    first = run.measurements[run.measurements["trial_id"] == run.trials["trial_id"].iloc[0]]
    assert first["loss_val"].to_numpy() == pytest.approx(np.array([0.1, 0.2, 0.3]))
    assert run.trials["kind"].tolist() == ["a"] * 3


def test_event_files_without_hyperparameters_have_their_folder_instead(tmp_path):
    from torch.utils.tensorboard import SummaryWriter

    for name in ("one", "two"):
        with SummaryWriter(str(tmp_path / "logs" / name)) as writer:
            writer.add_scalar("loss", len(name), 1)
    run, written = imported(read_tensorboard(tmp_path / "logs"), tmp_path / "run")
    assert run.trials["folder"].tolist() == ["one", "two"]
    assert "No hyperparameters are recorded" in written.notes[0]


@pytest.mark.parametrize("read", [read_ray, read_tensorboard])
def test_a_folder_without_results_is_refused(read, tmp_path):
    with pytest.raises(UserError, match="is not a folder"):
        read(tmp_path / "none")
    with pytest.raises(UserError, match="holds no"):
        read(tmp_path)


# What `tune` does with an imported run.


@pytest.fixture(scope="module")
def plain_run(tmp_path_factory):
    return write_found(tmp_path_factory.mktemp("runs") / "plain", found_trials())


@pytest.mark.parametrize(
    "words",
    [("resume",), ("extend", "--samples", "3"), ("test",), ("status",), ("predict", "a.png")],
)
def test_an_imported_run_is_not_continued(words, plain_run, capsys):
    command, *others = words
    assert tune([command, str(plain_run), *others]) == 2
    message = capsys.readouterr().err
    assert "was imported from a test" in message
    assert len(message.splitlines()) == 1


def test_the_list_of_runs_shows_imported_ones(plain_run, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "200")
    (tmp_path / "runs").symlink_to(plain_run.parent)
    assert tune(["list"]) == 0
    shown = capsys.readouterr().out
    best = read_run(plain_run).trials["best_rmse"].min()
    assert "imported from a test" in shown
    assert f"18 completed  rmse {best:.4f}" in shown
