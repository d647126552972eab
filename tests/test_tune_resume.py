"""Real sweeps, killed and resumed: real Ray, real trainings, real SIGKILL."""

import json
import shutil
import signal
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from data_prep.synthetic import prepare_synthetic
from tests.support.equal_runs import assert_equal_end
from tests.support.in_process import extend, resume, start
from tests.support.killing import (
    PATIENCE_SECONDS,
    finish_tune,
    kill_everything,
    start_tune,
    wait_for_line,
)
from tests.support.ledgers import read_lines
from tune.commands.test import open_test
from tune.run.directory import LEDGER_FILE, TRIALS_FILE, RunError
from tune.run.tables import read_predictions
from tune.session.run_directory import read_spec
from tune.sweep.spec import load_spec

SPEC = """
name: small
data: {data}
fixed: {{family: resnet, pool_size: 4, fc_width: 16, epochs: 4, batch_size: 64, channels: 4}}
space:
  kernel_size: [3, 5]
  blocks: [1, 2]
  conv_depth: {depths}
searcher: {{name: {searcher}}}
scheduler: {{name: asha, grace_period: 1, reduction_factor: 2}}
replicates: 2
finalists: 1
resources: {{cpus: 1, trials_at_once: 1}}
"""
SEARCHERS = {"grid": "grid", "tpe": "tpe, samples: 6"}
FUSED = """
name: fused
data: {data}
fixed: {{family: staged, blocks: 1, stages: 2, channels: 4, epochs: 4, batch_size: 64,
         dropout: 0.2}}
space: {{kernel_size: [3]}}
replicates: 4
fuse: always
resources: {{cpus: 1, trials_at_once: 1}}
"""
IMAGES = 300


class Sweeps:
    """Runs sweeps as a user would, in a folder of their own."""

    def __init__(self, folder: Path, data: Path):
        self.folder = folder
        self.data = data

    def spec(self, searcher):
        path = self.folder / f"{searcher}.yaml"
        text = FUSED if searcher == "fused" else SPEC
        depths = "[1]" if searcher == "grid" else "[1, 2]"
        path.write_text(
            text.format(data=self.data, searcher=SEARCHERS.get(searcher), depths=depths)
        )
        return path

    def start(self, *words):
        return start_tune(self.folder, *words)

    def finish(self, *words):
        return finish_tune(self.folder, *words)

    def run_dir(self, name):
        return self.folder / "runs" / name


@pytest.fixture(scope="module")
def faces(made_once):
    def make(folder):
        prepare_synthetic(out=folder / "faces", images=IMAGES, near_duplicates=False)

    return made_once("faces-to-resume", make) / "faces"


@pytest.fixture(scope="module")
def sweeps(tmp_path_factory, faces):
    return Sweeps(tmp_path_factory.mktemp("sweeps"), faces)


@pytest.fixture(scope="module")
def untouched(made_once, faces):
    """A finished run per searcher that nobody disturbed, whichever test process asks first."""

    def get(searcher):
        def make(folder):
            sweeps = Sweeps(folder, faces)
            if searcher == "grid":  # Here without Ray, with which it ends equally.
                start(load_spec(sweeps.spec(searcher), ["name=untouched"]), folder / "runs")
            else:
                sweeps.finish("run", sweeps.spec(searcher), "--name", "untouched")

        return made_once(f"untouched-{searcher}", make) / "runs" / "untouched"

    return get


def kill_and_resume(sweeps, untouched, searcher, line):
    name = f"killed-{searcher}-{line}"
    process = sweeps.start("run", sweeps.spec(searcher), "--name", name)
    run = sweeps.run_dir(name)
    wait_for_line(run, process, line)
    kill_everything(process)
    sweeps.finish("resume", run)
    assert_equal_end(run, untouched(searcher))


def moments(run, count):
    """Line numbers spread over a ledger, the first of each kind of line among them."""
    kinds = [event["event"] for event in read_lines(run)]
    first = {kinds.index(kind) + 1 for kind in kinds if kind != "sweep_finished"}
    assert len(first) < count
    last = len(kinds) - 1
    spread = {1 + round(step * (last - 1) / (count - 1)) for step in range(count)}
    rest = sorted(spread - first, key=lambda line: (line * 7919) % last)
    return sorted([*first, *rest][:count])


@pytest.mark.long
@pytest.mark.parametrize("number", range(3))
def test_a_sweep_that_is_killed_four_times_ends_as_the_untouched_one(sweeps, untouched, number):
    """The three sweeps are killed at twelve different lines of the ledger."""
    run = sweeps.run_dir(f"killed-tpe-{number}")
    command = ("run", sweeps.spec("tpe"), "--name", run.name)
    for line in moments(untouched("tpe"), 12)[number::3]:
        process = sweeps.start(*command)
        wait_for_line(run, process, line)
        kill_everything(process)
        command = ("resume", run)
    sweeps.finish(*command)
    assert_equal_end(run, untouched("tpe"))


@pytest.mark.long
@pytest.mark.parametrize("measured", [1, 8])
def test_replicates_trained_as_one_are_killed_and_resumed_as_one(sweeps, untouched, measured):
    """Killed after a figure of the first epoch of the three, and of a later one."""
    events = read_lines(untouched("fused"))
    decided = next(i for i, e in enumerate(events) if e["event"] == "fusing_decided")
    assert events[decided]["fused"]
    assert len(events[decided]["trials"]) == 3
    kill_and_resume(sweeps, untouched, "fused", decided + 1 + measured)
    run = sweeps.run_dir(f"killed-fused-{decided + 1 + measured}")
    decisions = [e for e in read_lines(run) if e["event"] == "fusing_decided"]
    assert [one["trials"] for one in decisions] == [events[decided]["trials"]]


@pytest.mark.long
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_lets_trials_write_a_checkpoint_and_no_epoch_is_trained_twice(
    sweeps, untouched, kind
):
    """Meanwhile another process is refused."""
    name = f"stopped-{kind.name}"
    process = sweeps.start("run", sweeps.spec("grid"), "--name", name)
    run = sweeps.run_dir(name)
    wait_for_line(run, process, 8)
    process.send_signal(signal.SIGSTOP)  # Else it may end before the second one asks.
    with pytest.raises(RunError, match=f"in use by process {process.pid}"):
        resume(run)
    process.send_signal(signal.SIGCONT)
    process.send_signal(kind)
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    running = {e["trial"] for e in read_lines(run) if e["event"] == "trial_proposed"}
    ended = {e["trial"] for e in read_lines(run) if e["event"] == "trial_ended"}
    for trial in running - ended:
        assert (run / "checkpoints" / trial / "last.pt").is_file()
    sweeps.finish("resume", run)
    assert_equal_end(run, untouched("grid"))
    starts = [e["trial"] for e in read_lines(run) if e["event"] == "trial_started"]
    assert len(starts) <= len(set(starts)) + len(running - ended)


@pytest.mark.usefixtures("one_thread")
def test_damage_is_repaired(sweeps, untouched):
    """A half-written line, a cut checkpoint, a lost table: the end is the same."""
    process = sweeps.start("run", sweeps.spec("grid"), "--name", "damaged")
    run = sweeps.run_dir("damaged")
    wait_for_line(run, process, 12)
    kill_everything(process)
    with (run / LEDGER_FILE).open("a") as ledger:
        ledger.write('{"event": "measur')
    for checkpoint in run.glob("checkpoints/*/last.pt"):
        checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    (run / TRIALS_FILE).unlink(missing_ok=True)
    moved = run.rename(run.with_name("moved"))
    resume(moved)
    assert_equal_end(moved, untouched("grid"))
    assert read_lines(moved)[-1]["event"] == "sweep_finished"


def test_lost_predictions_are_made_again(sweeps, untouched, capsys):
    run = sweeps.run_dir("lost")
    shutil.copytree(untouched("grid"), run)
    lost = sorted((run / "predictions").iterdir())[:3]
    before = [read_predictions(run, path.stem) for path in lost]
    for path in lost:
        path.unlink()
    (run / TRIALS_FILE).unlink()
    resume(run)
    assert "recreated the predictions of 3 trials" in capsys.readouterr().err
    assert_equal_end(run, untouched("grid"))
    for path, table in zip(lost, before, strict=True):
        again = read_predictions(run, path.stem)
        assert again.column("image_id").equals(table.column("image_id"))
        ours, theirs = (np.vstack(one["probabilities"].to_pylist()) for one in (again, table))
        # The same weights predict in a process with another number of threads.
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_a_finished_run_is_extended_and_trains_no_epoch_twice(sweeps, untouched, capsys):
    run = sweeps.run_dir("extended")
    shutil.copytree(untouched("grid"), run)
    before = len(read_lines(run))
    extend(run, overrides=["fixed.epochs=6"])
    errors = capsys.readouterr().err
    assert "continue from their checkpoints" in errors
    assert "trained anew" not in errors
    measured = [e for e in read_lines(run)[before:] if e["event"] == "measurement"]
    assert {event["epoch"] for event in measured} == {5, 6}
    trials = pq.read_table(run / TRIALS_FILE).to_pandas()
    assert set(trials.loc[trials["status"] == "COMPLETED", "epochs_trained"]) == {6}


def test_an_extension_that_was_killed_counts_for_the_next(sweeps, untouched):
    run = sweeps.run_dir("extended-twice")
    shutil.copytree(untouched("grid"), run)
    process = sweeps.start("extend", run, "--set", "fixed.epochs=6")
    wait_for_line(run, process, len(read_lines(untouched("grid"))) + 1)
    kill_everything(process)
    extend(run, overrides=["retries=5"])
    spec = read_spec(run)
    assert (spec.fixed["epochs"], spec.retries) == (6, 5)


def test_opening_the_test_split_is_noted_and_changes_nothing_else(sweeps, untouched):
    run = sweeps.run_dir("opened")
    shutil.copytree(untouched("grid"), run)
    before = read_lines(run)
    open_test(run)
    open_test(run)
    *rest, first, second = read_lines(run)
    assert rest == before
    assert [first["event"], second["event"]] == ["test_opened", "test_opened"]
    splits = read_predictions(run, first["trial"])["split"].to_pylist()
    val = read_predictions(untouched("grid"), first["trial"]).num_rows
    assert splits.count("val") == val
    assert splits.count("test") > 0
    assert_equal_end(run, untouched("grid"))


def test_another_dataset_is_refused(sweeps, untouched, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(sweeps.data, other)
    manifest = json.loads((other / "manifest.json").read_text())
    (other / "manifest.json").write_text(json.dumps(manifest | {"fingerprint": "a" * 64}))
    with pytest.raises(RunError, match="fingerprint aaaa"):
        resume(untouched("grid"), data=other)
