"""Sweeps of the user's own training code, in this process."""

import json
import math
import re
import shutil
import subprocess
import sys

import numpy as np
import pyarrow.parquet as pq
import pytest

from data_prep.reader import read_dataset
from fairsweep.errors import UserError
from fairsweep.own_code.copies import read_copy
from tests.support.equal_runs import assert_equal_end
from tests.support.in_process import extend, few_pictures_fixture, kfold, resume  # noqa: F401
from tests.support.own_training import (
    CURVE,
    ends,
    folder_fixture,  # noqa: F401
    own_spec,
    run_own,
    write_code,
)
from tune.commands.predict import find_weights
from tune.commands.retrain import Request, retrain
from tune.commands.test import open_test
from tune.execution.executor import SweepData
from tune.execution.factories import make_factory
from tune.execution.in_process import InProcessExecutor
from tune.run.directory import MEASUREMENTS_FILE, STOP_FILE, TRIALS_FILE, RunError
from tune.run.tables import read_predictions, read_table_info
from tune.run.trial import Status
from tune.session.data import fingerprint_of
from tune.session.session import start
from tune.session.status import read_sweep
from tune.sweep.bundle import Bundle


def yields(line, *, signature="rate, epochs"):
    """Code that yields ``line`` after each epoch."""
    return f"""
        import math
        def train(*, {signature}):
            for epoch in range(1, 100):
                yield {line}
        """.replace("rate,", "rate: float,")


def test_tables_have_the_hyperparameters_and_the_metrics_that_occur(folder):
    run, sweep = run_own(folder)
    assert ends(sweep) == [("COMPLETED", "")] * 2
    table = pq.read_table(run / TRIALS_FILE)
    row = table.to_pylist()[1]
    expected = {
        "train": "mine.training:train", "rate": 0.5, "depth": 3, "epochs": 3, "seed": 0,
        "name": "train_rate=0.5", "best_epoch": 3, "best_val_f1": 1 - 0.5**1.5, "last_cost": 3.0,
        "parameters": None, "device": "cpu",
    }  # fmt: skip
    assert {name: row[name] for name in expected} == expected
    assert not [name for name in table.column_names if "accuracy" in name]
    assert read_table_info(table).searched == ("rate",)
    measurements = pq.read_table(run / MEASUREMENTS_FILE)
    assert measurements.column_names == ["trial_id", "epoch", "val_f1", "cost", "seconds"]
    provenance = json.loads((run / "provenance.json").read_text())
    assert provenance["dataset"] == {"path": None, "name": None, "fingerprint": None}


def test_a_metric_that_a_trial_lacks_is_null_in_its_row(folder):
    code = yields('{"val_f1": rate} | ({"auc": 0.5} if rate > 0.2 else {})')
    run, _ = run_own(folder, code)
    trials, measurements = (pq.read_table(run / name) for name in (TRIALS_FILE, MEASUREMENTS_FILE))
    assert trials["best_auc"].to_pylist() == [None, 0.5]
    assert measurements["auc"].to_pylist() == [None] * 3 + [0.5] * 3


def test_a_cost_among_the_objectives_is_not_yielded_and_no_column_of_measurements(folder):
    run, sweep = run_own(folder, objective=["val_f1", "device_seconds"])
    assert ends(sweep) == [("COMPLETED", "")] * 2
    columns = pq.read_schema(run / TRIALS_FILE).names
    assert [name for name in columns if "device_seconds" in name] == ["device_seconds"]
    assert "device_seconds" not in pq.read_schema(run / MEASUREMENTS_FILE).names


@pytest.mark.parametrize(
    ("line", "status", "reason"),
    [
        ('{"f1": 1.0}', "FAILED", "did not yield val_f1, .*; it yielded f1 "),
        ('{"val_f1": "high"}', "FAILED", "must yield numbers as metrics, but val_f1 is 'high'"),
        ('{"val_f1": 1.0, "epoch": 3}', "FAILED", "names of other columns .* yielded 'epoch'"),
        ('("a", 1, 2)', "FAILED", "must yield its metrics as a dict, .* but yielded \\('a', 1, 2"),
        ('{"val_f1": math.nan}', "DIVERGED", "val_f1 was NaN or infinite at epoch 1"),
        ('{"val_f1": 0.5, "loss": math.inf}', "DIVERGED", "loss was NaN or infinite at epoch 1"),
        ('({"val_f1": 1.0}, lambda: 0)', "FAILED", "a state that cannot be pickled"),
        (
            '{"val_f1": 1 / (epoch - 2)}', "FAILED",
            r"mine/training.py, line 5, in train: ZeroDivisionError: division by zero \(all of it",
        ),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_ends_a_trial_with_the_reason(
    folder, monkeypatch, line, status, reason
):
    monkeypatch.setattr("tune.execution.own_training.FIRST_SAVE_SECONDS", 0.0)
    _, sweep = run_own(folder, yields(line), space={"rate": [0.1]}, retries=1)
    ((found, why),) = ends(sweep)
    assert found == status
    assert re.search(reason, why), why
    assert "\n" not in why


def test_an_exception_leaves_the_lines_of_the_users_code_last_first(folder):
    code = """
    def loss(rate):
        return [][0]

    def train(*, rate: float, epochs: int):
        yield {"val_f1": loss(rate)}
    """
    run, sweep = run_own(folder, code, space={"rate": [0.1]}, retries=0)
    ((_, reason),) = ends(sweep)
    assert "mine/training.py, line 3, in loss: IndexError: list index out of range" in reason
    (trial,) = sweep.trials
    told = (run / "errors" / f"{trial}.txt").read_text()
    lines = [line.strip() for line in told.splitlines()]
    assert lines[1:5] == [
        "mine/training.py, line 3, in loss", "return [][0]",
        "mine/training.py, line 6, in train", 'yield {"val_f1": loss(rate)}',
    ]  # fmt: skip


def test_an_exception_while_the_module_is_imported_by_a_worker_fails_its_trials(folder):
    code = CURVE + "\nimport os\nif os.path.exists('broken'): raise OSError('gone')\n"
    write_code(folder, code)
    spec = own_spec(retries=0)

    class Breaks(InProcessExecutor):
        def execute(self, sweep, run, data, *, on_step):
            for name in ("mine", "mine.training"):
                del sys.modules[name]
            (folder / "broken").touch()
            super().execute(sweep, run, data, on_step=on_step)

    _, sweep = start(spec, folder / "runs", executor=Breaks())
    assert {status for status, _ in ends(sweep)} == {"FAILED"}
    assert all("OSError: gone" in reason for _, reason in ends(sweep))


def test_code_that_returns_early_stops_its_trial_and_says_so(folder):
    code = """
    def train(*, rate: float, epochs: int):
        for epoch in range(2 if rate > 0.2 else 0):
            yield {"val_f1": rate}
    """
    _, sweep = run_own(folder, code, retries=0)
    (nothing, why), (early, reason) = ends(sweep)
    assert (nothing, early) == ("FAILED", "EARLY_STOPPED")
    assert "returned without a yield" in why
    assert reason == "mine.training:train returned after epoch 2 of 3"


def test_code_is_told_when_its_trial_ends_and_cannot_break_it_then(folder):
    code = """
    def train(*, rate: float, epochs: int):
        try:
            for _ in range(9):
                yield {"val_f1": rate}
        finally:
            open(f"closed {rate}", "w").close()
            raise OSError("too late")
    """
    _, sweep = run_own(folder, code)
    assert ends(sweep) == [("COMPLETED", "")] * 2
    assert sorted(path.name for path in folder.glob("closed*")) == ["closed 0.1", "closed 0.5"]


def test_a_function_that_is_no_generator_is_told(folder):
    code = "def train(*, rate: float, epochs: int):\n    return {'val_f1': rate}\n"
    _, sweep = run_own(folder, code, retries=0)
    assert all("must be a generator, which yields" in reason for _, reason in ends(sweep))
    assert all("docs/own_training.md" in reason for _, reason in ends(sweep))


@pytest.mark.parametrize("error", ["MemoryError()", "RuntimeError('RESOURCE_EXHAUSTED: 3 GiB')"])
def test_a_trial_that_does_not_fit_into_memory_twice_is_infeasible(folder, error):
    code = f"""
    def train(*, rate: float, epochs: int):
        yield {{"val_f1": rate}}
        raise {error}
    """
    _, sweep = run_own(folder, code, retries=5)
    assert {status for status, _ in ends(sweep)} == {"INFEASIBLE"}
    assert sweep.exclusive == set(sweep.trials)


def test_seeds_folds_and_the_rest_of_what_we_offer_arrive_by_name(folder):
    code = """
    import json
    def train(*, rate: float, data, seed, fold, folds, epochs, device, state=None):
        given = {"data": data, "seed": seed, "fold": fold, "folds": folds, "device": device}
        with open("given.txt", "a") as file:
            file.write(json.dumps(given | {"epochs": epochs, "state": state}) + "\\n")
        while True:
            yield {"val_f1": 0.5}
    """
    (folder / "rows.csv").touch()
    _, sweep = run_own(folder, code, space={"rate": [0.5]}, folds=2, repeats=2, data="rows.csv")
    given = [json.loads(line) for line in (folder / "given.txt").read_text().splitlines()]
    same = {"data": str(folder / "rows.csv"), "seed": 0, "folds": 2, "device": "cpu", "epochs": 3}
    assert given == [same | {"fold": fold, "state": None} for fold in range(4)]
    assert len({trial.configuration_id for trial in sweep.trials.values()}) == 1


def test_where_a_spec_names_no_data_the_code_gets_none(folder):
    code = """
    def train(*, rate: float, data):
        assert data is None, repr(data)
        while True:
            yield {"val_f1": 0.5}
    """
    _, sweep = run_own(folder, code, space={"rate": [0.5]})
    assert [trial.status for trial in sweep.trials.values()] == [Status.COMPLETED]


@pytest.mark.parametrize("again", [resume, extend])
def test_data_that_was_moved_is_given_from_its_new_place(folder, again):
    code = """
    def train(*, rate: float, data):
        with open("given.txt", "a") as file:
            file.write(f"{data}\\n")
        if rate == 0.1 and not data.endswith("moved.csv"):
            raise ValueError("stays to be trained")
        yield {"val_f1": rate}
    """
    (folder / "rows.csv").touch()
    run, _ = run_own(folder, code, data="rows.csv", retries=0, fixed={"epochs": 1})
    (folder / "rows.csv").rename(folder / "moved.csv")
    (folder / "given.txt").unlink()
    if again is resume:
        sweep = resume(run, data=str(folder / "moved.csv"), retry_failed=True)
    else:
        more = ("space.rate=[0.1, 0.5, 0.9]",)
        sweep = extend(run, overrides=more, data=str(folder / "moved.csv"))
    assert (folder / "given.txt").read_text() == f"{folder / 'moved.csv'}\n"
    assert [status for status, _ in ends(sweep)].count("COMPLETED") == 2


def test_a_hyperparameter_called_patience_belongs_to_the_code(folder):
    flat = yields('{"val_f1": 0.5}', signature="rate, epochs, patience: int")
    _, sweep = run_own(folder, flat.replace("100", "4"), fixed={"epochs": 3, "patience": 1})
    assert {len(trial.measurements) for trial in sweep.trials.values()} == {3}


def test_a_scheduler_and_replicates_work_as_for_our_loop(folder):
    run, sweep = run_own(
        folder, space={"rate": [0.5, 0.4, 0.3, 0.2]}, scheduler="asha", replicates=3, finalists=1,
        fuse="always",
    )  # fmt: skip
    statuses = [status for status, _ in ends(sweep)]
    assert {"EARLY_STOPPED", "COMPLETED"} == set(statuses)
    assert not sweep.fusings
    best = sweep.incumbent
    assert [t.config["seed"] for t in sweep.trials.values() if t.phase == "finalist"] == [1, 2]
    assert best.phase == "finalist"
    assert best.config["rate"] == 0.5
    assert (run / TRIALS_FILE).is_file()


def test_a_paused_trial_goes_on_from_the_state_that_the_code_gave(folder, monkeypatch):
    monkeypatch.setattr("tune.execution.own_training.SAVE_SHARE", 0.0)
    space = {"rate": [0.2, 0.3, 0.4, 0.5]}
    scheduler = {"name": "promotion", "grace_period": 2}
    _, sweep = run_own(folder, space=space, scheduler=scheduler, finalists=1)
    statuses = [status for status, _ in ends(sweep)]
    assert statuses == ["EARLY_STOPPED", "EARLY_STOPPED", "COMPLETED", "COMPLETED"]
    epochs = {0.2: 2, 0.3: 2, 0.4: 3, 0.5: 3}
    expected = [f"{rate} 0 {n}" for rate, last in epochs.items() for n in range(1, last + 1)]
    assert sorted(trained(folder)) == expected


class Stops(InProcessExecutor):
    """Stops the sweep after two epochs of its second trial, as `tune stop` does."""

    def execute(self, sweep, run, data, *, on_step):
        def step():
            if sum(len(trial.measurements) for trial in sweep.trials.values()) == 4:
                (run / STOP_FILE).touch()
                sweep.stop("asked to")
            on_step()

        super().execute(sweep, run, data, on_step=step)


def stopped(folder, text=CURVE):
    write_code(folder, text)
    return start(own_spec(), folder / "runs", executor=Stops())


def trained(folder):
    return (folder / "trained.txt").read_text().split("\n")[:-1]


def test_a_stopped_sweep_goes_on_from_the_state_that_the_code_gave(folder):
    run, sweep = stopped(folder)
    assert not sweep.finished
    assert resume(run).finished
    assert trained(folder) == [f"{rate} 0 {epoch}" for rate in (0.1, 0.5) for epoch in (1, 2, 3)]
    shutil.move(run, folder / "parted")
    assert_equal_end(folder / "parted", run_own(folder)[0])


def test_code_without_a_state_starts_again_and_no_epoch_is_recorded_twice(folder):
    code = CURVE.replace(', {"epoch": epoch}\n', "\n")
    run, _ = stopped(folder, code)
    sweep = resume(run)
    assert trained(folder)[3:] == ["0.5 0 1", "0.5 0 2", "0.5 0 1", "0.5 0 2", "0.5 0 3"]
    assert [m.epoch for m in list(sweep.trials.values())[1].measurements] == [1, 2, 3]


def test_a_damaged_state_starts_the_trial_again(folder):
    run, sweep = stopped(folder)
    second = list(sweep.trials)[1]
    (run / "checkpoints" / second / "last.pt").write_bytes(b"PK damaged")
    assert resume(run).finished
    assert trained(folder)[3:] == ["0.5 0 1", "0.5 0 2", "0.5 0 1", "0.5 0 2", "0.5 0 3"]


def test_code_that_does_not_get_the_epochs_can_be_extended(folder):
    code = CURVE.replace("epochs: int, ", "").replace("while epoch < epochs", "while True")
    run, sweep = run_own(folder, code)
    ids = list(sweep.trials)
    sweep = extend(run, overrides=["fixed.epochs=5"])
    assert list(sweep.trials) == ids
    further = sorted(trained(folder)[6:])  # The trial that took longer goes on first.
    assert further == [f"{rate} 0 {epoch}" for rate in (0.1, 0.5) for epoch in (4, 5)]


def test_code_that_gets_the_epochs_cannot(folder):
    run, _ = run_own(folder)
    with pytest.raises(RunError, match="epochs cannot grow, because mine"):
        extend(run, overrides=["fixed.epochs=5"])


PREDICTS = """
from fairsweep.training import Epoch, Predictions
def train(*, rate: float, classes: int = 3, total: float = 1.0):
    for share in (0.4, 0.8, 0.6):
        rest = (total - share) / (classes - 1)
        yield Epoch(metrics={"val_f1": share}, predictions=Predictions(
            image_ids=["b", "a"], labels=[0, 2],
            probabilities=[[share] + [rest] * (classes - 1)] * 2,
        ))
"""


def test_the_predictions_of_the_best_epoch_are_kept(folder):
    run, sweep = run_own(folder, PREDICTS)
    for trial in sweep.trials:
        table = read_predictions(run, trial)
        assert table["image_id"].to_pylist() == ["b", "a"]
        assert table["label"].to_pylist() == [0, 2]
        assert table["split"].to_pylist() == ["val"] * 2
        np.testing.assert_allclose(table["probabilities"].to_pylist(), [[0.8, 0.1, 0.1]] * 2)
        assert table.schema.metadata[b"epoch"] == b"2"
        assert json.loads(table.schema.metadata[b"classes"]) == ["0", "1", "2"]


def test_predictions_that_do_not_fit_the_classes_are_refused(folder, few_pictures):
    _, sweep = run_own(folder, PREDICTS, data=str(few_pictures), retries=0)
    assert all("of shape (2, 3) for 4 classes" in reason for _, reason in ends(sweep))
    changed = {"data": str(few_pictures), "retries": 0, "name": "two"}
    fixed = {"epochs": 3, "classes": 4, "total": 2.0}
    _, sweep = run_own(folder, PREDICTS, fixed=fixed, **changed)
    assert all("row 0 is [0.4" in reason for _, reason in ends(sweep))


def test_our_dataset_gives_its_fingerprint_and_classes(folder, few_pictures):
    run, sweep = run_own(folder, data=str(few_pictures))
    manifest = read_dataset(few_pictures).manifest
    provenance = json.loads((run / "provenance.json").read_text())
    assert provenance["dataset"]["fingerprint"] == manifest.fingerprint
    for _ in range(2):
        info = read_table_info(pq.read_table(run / TRIALS_FILE))
        assert info.classes == tuple(manifest.classes)
        resume(run)  # It writes its tables again.
    _, other = run_own(folder, name="other")
    assert not set(other.trials) & set(sweep.trials)


def test_ids_depend_on_the_code_and_the_path_of_the_data(folder):
    def ids(text=CURVE, **changes):
        write_code(folder, text)
        spec = own_spec(**changes)
        return {spec.config({"rate": rate}, seed=0).configuration_id for rate in (0.1, 0.5)}

    assert ids() == ids()
    assert not ids() & ids(f"{CURVE}\n# changed")
    assert not ids() & ids(fixed={"epochs": 4})
    free = CURVE.replace("epochs: int, ", "").replace("epoch < epochs", "True")
    assert ids(free) == ids(free, fixed={"epochs": 4})
    config = own_spec().config({"rate": 0.1}, seed=0)
    assert config.trial_id("path a") != config.trial_id("path b")
    assert config.trial_id("a") != own_spec().config({"rate": 0.1}, seed=1).trial_id("a")


def test_ids_depend_on_the_path_of_the_data_as_the_spec_gives_it(folder, monkeypatch):
    write_code(folder)
    spec, other = own_spec(data="my faces"), own_spec(data="others")
    here = fingerprint_of(spec, None)
    (folder / "elsewhere").mkdir()
    monkeypatch.chdir(folder / "elsewhere")
    assert fingerprint_of(spec, None) == here != fingerprint_of(other, None)


def test_a_changed_file_is_said_and_a_run_goes_on_with_its_copy(folder, capsys):
    run, _ = stopped(folder)
    write_code(folder, "def train(): raise OSError\n")
    assert resume(run).finished
    assert "mine.training:train has changed since the run began" in capsys.readouterr().err
    assert trained(folder)[-1] == "0.5 0 3"


def test_code_of_a_run_from_elsewhere_is_not_imported_unless_the_user_says_so(folder, monkeypatch):
    run, _ = stopped(folder)
    other = folder / "other user"
    shutil.copytree(run, other / "runs" / "own")
    monkeypatch.chdir(other)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(other / "config"))
    with pytest.raises(
        UserError, match=r"repeat the command with --trust-code \(docs/own_network\.md\)"
    ):
        resume(other / "runs" / "own")
    assert resume(other / "runs" / "own", trust_code=True).finished


def test_reading_a_run_imports_no_code(folder):
    run, _ = run_own(folder, CURVE + "\nopen('imported', 'a').close()\n")
    (folder / "imported").unlink()
    shutil.rmtree(folder / "mine")
    shutil.rmtree(run / "code")
    assert read_sweep(run).incumbent.config["rate"] == 0.5
    assert not (folder / "imported").exists()


def test_commands_that_need_a_network_of_ours_refuse(folder):
    run, _ = run_own(folder)
    for call in (
        open_test,
        find_weights,
        lambda run: retrain(Request(run=run, sampling={}, from_scratch=False), folder),
    ):
        with pytest.raises(
            RunError,
            match=r"needs a network of ours.* by mine\.training:train; .*docs/own_training\.md",
        ):
            call(run)


def test_a_configuration_is_trained_on_folds(folder):
    code = CURVE.replace("seed: int, ", "seed: int, fold: int | None = None, ")
    run, _ = run_own(folder, code)
    made, sweep = kfold(run, folder / "runs", folds=2, repeats=1)
    assert [trial.config["fold"] for trial in sweep.trials.values()] == [0, 1]
    assert {trial.config["rate"] for trial in sweep.trials.values()} == {0.5}
    assert {trial.status for trial in sweep.trials.values()} == {Status.COMPLETED}
    assert made.name == "own-kfold"


def test_a_warm_start_takes_a_run_of_the_same_code_and_data(folder):
    tpe = {"name": "tpe", "samples": 3}
    first, _ = run_own(folder, searcher=tpe, space={"rate": {"low": 0.1, "high": 1.0}})
    _, sweep = run_own(
        folder, searcher=tpe, space={"rate": {"low": 0.1, "high": 1.0}}, name="second",
        warm_start=str(first),
    )  # fmt: skip
    assert len(sweep.search.known) == 3
    assert all(math.isfinite(value) for known in sweep.search.known for value in known.curve)


def test_a_worker_imports_torch_only_with_code_that_does():
    modules = "tune.execution.worker, tune.execution.own_factory, tune.execution.factories"
    subprocess.run(
        [sys.executable, "-c", f"import sys, {modules}; sys.exit('torch' in sys.modules)"],
        check=True,
    )


@pytest.mark.usefixtures("one_thread")
def test_own_code_has_the_threads_of_its_trial(folder):
    run, sweep = run_own(folder, yields('{"val_f1": __import__("torch").get_num_threads()}'))
    trial = next(iter(sweep.trials.values()))
    assert trial.measurements[0].values["val_f1"] == 1
    make = make_factory(sweep, run, SweepData(dataset=None), threads=2)
    bundle = Bundle(trials={"another": trial.config}, folder="another")
    assert make(bundle).advance()[0].values["val_f1"] == 2


def test_a_process_reads_the_code_of_a_run_once_and_that_of_another_run_again(folder, monkeypatch):
    read = []

    def reads(reference, place, expected):
        read.append(place.parent)
        return read_copy(reference, place, expected)

    monkeypatch.setattr("tune.execution.own_factory.read_copy", reads)
    first, _ = run_own(folder)
    changed, sweep = run_own(folder, CURVE.replace("0.001 * seed", "7"), name="other")
    assert read == [first, changed]
    assert min(trial.measurements[0].values["val_f1"] for trial in sweep.trials.values()) > 7
