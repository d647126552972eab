"""What each command hands on, prints and exits with; nothing is trained."""

import json
import re
import sys
from argparse import Namespace
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from tests.support.sweeps import SPEC, new_sweep, play, small_spec, train
from tune.__main__ import main
from tune.commands.options import words_of
from tune.commands.outcome import last_line
from tune.run.directory import RUNS, RunError
from tune.sweep.spec import SpecError


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """A function that lets a function of ours note its arguments and give back a result."""
    asked = []

    def stand_in(place, result):
        def call(*words, **options):
            asked.append((*words, options) if options else words)
            if isinstance(result, BaseException):
                raise result
            return result

        monkeypatch.setattr(place, call)
        return asked

    monkeypatch.chdir(tmp_path)
    (tmp_path / "my spec.yaml").write_text(json.dumps(SPEC))
    return stand_in


def finished():
    sweep, _ = new_sweep(small_spec(scheduler={"name": "none"}))
    play(sweep)
    return sweep


def without_success():
    sweep, _ = new_sweep(small_spec(searcher={"name": "random", "samples": 1}))
    sweep.fail(sweep.next_trial().id, "no")
    assert sweep.next_trial() is None
    assert sweep.finished
    return sweep


def interrupted():
    sweep, _ = new_sweep(small_spec(scheduler={"name": "none"}))
    train(sweep, *[0.5] * 9)
    sweep.stop("stopped by SIGINT")
    return sweep


def budget_spent():
    sweep, _ = new_sweep(small_spec(scheduler={"name": "none"}))
    train(sweep, *[0.5] * 9)
    train(sweep, 0.5)
    sweep.stop("its budget of 1 hours is spent", as_designed=True)
    sweep.stop("stopped by SIGINT")
    return sweep


def budget_spent_in_vain():
    sweep, _ = new_sweep(small_spec())
    sweep.stop("its budget of 1 hours is spent", as_designed=True)
    return sweep


@pytest.mark.parametrize(
    ("make", "code"),
    [(finished, 0), (without_success, 3), (interrupted, 130), (budget_spent, 0),
     (budget_spent_in_vain, 3)],
)  # fmt: skip
def test_the_exit_code_says_how_a_sweep_ended(asked, capsys, make, code):
    calls = asked("tune.commands.resume.resume", make())
    assert main(["resume", "runs/a b", "--data", "moved"]) == code
    expected = {"data": "moved", "retry_failed": False, "trust_code": False}
    assert calls == [(Path("runs/a b"), expected)]
    assert capsys.readouterr().out.startswith("runs/a b: ")


def test_a_spent_budget_says_what_is_left_untrained():
    sweep = budget_spent()
    assert last_line(Path("runs/x"), sweep).endswith(
        "; its budget of 1 hours is spent, and 11 trials are left untrained; continue with "
        "`python -m tune extend runs/x --set budget=…`"
    )


@pytest.mark.parametrize(
    ("make", "command"),
    [
        (without_success, "resume 'runs/my run' --retry-failed` trains failed trials again"),
        (interrupted, "resume 'runs/my run'`"),
        (budget_spent, "extend 'runs/my run' --set budget=…`"),
    ],
)
def test_the_told_command_can_be_pasted_whatever_the_name_of_the_run(make, command):
    assert last_line(Path("runs/my run"), make()).endswith(f"`python -m tune {command}")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (RunError("no run"), "no run"),
        (SpecError("no run"), "no run"),
        (PermissionError(13, "Permission denied", "a file"),
         "a file: Permission denied; check the path"),
    ],
)  # fmt: skip
def test_what_the_user_must_change_is_told_in_a_line_with_code_two(asked, capsys, error, line):
    asked("tune.commands.resume.resume", error)
    assert main(["resume", "r"]) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err == f"error: {line}\n"


@pytest.mark.parametrize(
    "error", [KeyError("a"), ValueError("ours"), OSError("no file has a part in this")]
)
def test_a_fault_of_ours_leaves_its_traceback_in_a_file_with_code_one(asked, capsys, error):
    asked("tune.commands.resume.resume", error)
    assert main(["resume", "r"]) == 1
    said = capsys.readouterr().err
    path = Path(
        re.fullmatch(r"error: a fault of this program; the traceback is in (.*)\n", said)[1]
    )
    assert type(error).__name__ in path.read_text()
    path.unlink()


def test_a_keyboard_interrupt_has_its_own_code(asked):
    asked("tune.commands.resume.resume", KeyboardInterrupt())
    assert main(["resume", "r"]) == 130


def test_run_hands_on_the_spec_with_its_changes(asked):
    calls = asked("tune.commands.run.start", (Path("runs/x"), finished()))
    words = ["--data", "my faces", "--name", "x", "--set", "seed=8", "--set", "fixed.epochs=3"]
    assert main(["run", "my spec.yaml", *words]) == 0
    ((spec, root),) = calls
    assert root == RUNS == Path("runs")
    assert (spec.data, spec.name, spec.seed, spec.fixed["epochs"]) == ("my faces", "x", 8, 3)


@pytest.mark.parametrize("command", [["run", "my spec.yaml"], ["resume", "runs/x"]])
def test_a_report_is_written_when_the_sweep_has_ended_and_not_before(asked, monkeypatch, command):
    written = []

    def report(words, **_):
        written.append(words)
        return CompletedProcess(words, 5)

    monkeypatch.setattr("tune.commands.outcome.subprocess.run", report)

    def sweep_is(sweep):
        returned = (Path("runs/x"), sweep) if command[0] == "run" else sweep
        name = "start" if command[0] == "run" else "resume"
        asked(f"tune.commands.{command[0]}.{name}", returned)

    sweep_is(finished())
    assert main(command) == 0
    assert written == []
    assert main([*command, "--report"]) == 5
    assert written == [[sys.executable, "-m", "analysis", "report", "runs/x"]]
    sweep_is(interrupted())
    assert main([*command, "--report"]) == 130
    assert len(written) == 1


@pytest.mark.parametrize("missing", ["pandas", "matplotlib", "statsmodels"])
@pytest.mark.parametrize("command", [["run", "my spec.yaml"], ["resume", "runs/x"]])
def test_a_report_without_its_libraries_is_refused_before_training(
    asked, monkeypatch, capsys, command, missing
):
    calls = asked(f"tune.commands.{command[0]}.{'start' if command[0] == 'run' else 'resume'}", 0)
    monkeypatch.setattr(
        "tune.commands.outcome.find_spec", lambda name: None if name == missing else "there"
    )
    assert main([*command, "--report"]) == 2
    assert f"needs {missing}" in (said := capsys.readouterr().err)
    assert "pip install 'fairsweep[analysis]'" in said
    assert calls == []


def test_data_and_name_win_over_changes_of_the_spec(asked):
    calls = asked("tune.commands.run.start", (Path("runs/x"), finished()))
    words = ["--set", "name=y", "--data", "a: b", "--set", "data=c"]
    assert main(["run", "my spec.yaml", *words]) == 0
    ((spec, _),) = calls
    assert (spec.data, spec.name) == ("a: b", "y")


def test_a_spec_may_stand_after_its_changes(asked):
    calls = asked("tune.commands.run.start", (Path("runs/x"), finished()))
    assert main(["run", "--set", "seed=8", "--set", "retries=9", "my spec.yaml"]) == 0
    ((spec, _),) = calls
    assert (spec.seed, spec.retries) == (8, 9)


def test_extend_hands_on_samples_and_changes(asked):
    calls = asked("tune.commands.extend.extend", finished())
    assert main(["extend", "r", "--samples", "8", "--set", "retries=9", "--data", "d"]) == 0
    assert main(["extend", "r", "--trust-code"]) == 0
    first = {"samples": 8, "overrides": ["retries=9"], "data": "d", "trust_code": False}
    second = {"samples": 0, "overrides": [], "data": None, "trust_code": True}
    assert calls == [(Path("r"), first), (Path("r"), second)]


def test_kfold_hands_on_folds_and_repeats_and_sums_up_what_succeeded(asked, capsys):
    calls = asked("tune.commands.kfold.kfold", (Path("runs/k"), finished()))
    words = ["--folds", "5", "--repeats", "2", "--trial", "t", "--name", "n", "--data", "d"]
    assert main(["kfold", "r", *words, "--set", "retries=9"]) == 0
    assert main(["kfold", "r", "--trust-code"]) == 0
    options = {
        "trial_id": "t", "name": "n", "data": "d", "overrides": ["retries=9"], "trust_code": False,
    }  # fmt: skip
    plain = {"trial_id": None, "name": None, "data": None, "overrides": [], "trust_code": True}
    assert calls == [
        (Path("r"), RUNS, {"folds": 5, "repeats": 2, **options}),
        (Path("r"), RUNS, {"folds": 10, "repeats": 1, **plain}),
    ]
    assert capsys.readouterr().out.count(" on average (") == 2 * 12
    asked("tune.commands.kfold.kfold", (Path("runs/k"), interrupted()))
    assert main(["kfold", "r"]) == 130
    assert "on average" not in capsys.readouterr().out


def test_retrain_hands_on_each_way_to_sample(asked, monkeypatch, capsys):
    monkeypatch.setattr("tune.commands.retrain.comparison", lambda *_: iter(["better"]))
    calls = asked("tune.commands.retrain.retrain", (Path("runs/k"), finished()))
    words = ["--oversample", "age=child:4", "--oversample", "age=old:2", "--weights", "sex=f:2"]
    words += ["--from-scratch", "--epochs", "3", "--groups", "a b.csv", "--trial", "t"]
    assert main(["retrain", "r", *words, "--name", "n", "--data", "d", "--set", "seed=8"]) == 0
    assert capsys.readouterr().out.endswith("better\n")
    assert main(["retrain", "r", "--balance", "age", "--balance", "sex", "--trust-code"]) == 0
    (first, root), (second, _) = calls
    assert root == RUNS
    assert first.sampling == {
        "oversample": "age=child:4,age=old:2", "sample_weights": "sex=f:2",
    }  # fmt: skip
    assert (first.from_scratch, first.epochs, first.groups) == (True, 3, Path("a b.csv"))
    assert (first.trial_id, first.name, first.data, first.overrides) == (
        "t", "n", "d", ("seed=8",),
    )  # fmt: skip
    assert second.sampling == {"balance": "age,sex"}
    assert (second.from_scratch, second.epochs, second.groups) == (False, None, None)
    assert (first.trust_code, second.trust_code) == (False, True)


def test_test_and_copy_and_stop_hand_on_what_they_are_given(asked, capsys):
    calls = asked("tune.commands.test.open_test", "a line")
    assert main(["test", "r", "--trial", "t", "--data", "d"]) == 0
    assert main(["test", "r", "--trust-code"]) == 0
    assert main(["test", "r", "--ensemble"]) == 0
    assert calls == [
        (Path("r"), {"trial_id": "t", "ensemble": False, "data": "d", "trust_code": False}),
        (Path("r"), {"trial_id": None, "ensemble": False, "data": None, "trust_code": True}),
        (Path("r"), {"trial_id": None, "ensemble": True, "data": None, "trust_code": False}),
    ]
    calls.clear()
    asked("tune.commands.copy.copy_run", 7)
    assert main(["copy", "r", "s3://b/r"]) == 0
    asked("tune.commands.stop.request_stop", None)
    assert main(["stop", "r"]) == 0
    assert main(["stop", "r", "--trial", "t"]) == 0
    assert calls == [(Path("r"), "s3://b/r"), (Path("r"), None), (Path("r"), "t")]
    assert capsys.readouterr().out.splitlines() == [
        *("a line", "a line", "a line"),
        "7 files of r copied to s3://b/r",
        "r will stop at the end of the current epoch",
        "trial t of r will stop at the end of the current epoch",
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "required: COMMAND"),
        (["test", "r", "--trial", "t", "--ensemble"], "not allowed with argument --trial"),
        (["export", "r"], "required: --out"),
        (["retrain", "r", "--epochs", "2.5"], "invalid int value: '2.5'"),
    ],
)
def test_a_command_line_that_breaks_a_rule_is_refused(asked, capsys, words, told):
    calls = asked("tune.commands.test.open_test", "a line")
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err
    assert calls == []


def test_status_is_json_a_table_or_a_watch(asked, capsys):
    calls = asked("tune.commands.status.run_status", {"name": "x"})
    asked("tune.commands.status.print_status", None)
    asked("tune.commands.status.watch_status", None)
    assert main(["status", "r", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"name": "x"}
    assert main(["status", "r"]) == main(["status", "r", "--watch"]) == 0
    assert calls == [(Path("r"),)] * 3


def test_a_plan_is_made_for_the_dataset_and_all_cores(asked, monkeypatch, synthetic_dataset):
    monkeypatch.setattr("os.cpu_count", lambda: 3)
    calls = asked("tune.commands.plan.plan_sweep", "a plan")
    asked("tune.commands.plan.print_plan", None)
    assert main(["plan", "my spec.yaml", "--data", str(synthetic_dataset)]) == 0
    (spec, manifest, options), (plan, same, _) = calls
    assert (spec.data, options) == (str(synthetic_dataset), {"cores": 3})
    assert manifest.name == "synthetic"
    assert (plan, same) == ("a plan", spec)


def test_the_options_of_a_spec_are_given_on_as_they_were_given():
    parsed = Namespace(spec=Path("a b.yaml"), data="d", name=None, set=["seed=8", "x=y z"])
    assert words_of(parsed) == ["a b.yaml", "--data", "d", "--set", "seed=8", "--set", "x=y z"]
    parsed = Namespace(spec=Path("a.yaml"), data=None, name="n", set=[])
    assert words_of(parsed) == ["a.yaml", "--name", "n"]


def stopped_early():
    sweep, _ = new_sweep(small_spec(space={"kernel_size": [3]}))
    trial = train(sweep, 0.5)
    sweep.attempt_failed(trial.id, "broke")
    sweep.stop_trial(trial.id, "by hand")
    assert sweep.next_trial() is None
    assert sweep.finished
    return sweep


def test_a_sweep_without_a_whole_training_has_not_succeeded(asked):
    asked("tune.commands.resume.resume", stopped_early())
    assert main(["resume", "r"]) == 3
