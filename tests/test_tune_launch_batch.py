"""The job script for PBS or LSF, and the chain of jobs; qsub and bsub are stand-ins."""

import os
import re
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from tests.support.sweeps import SPEC
from tune.__main__ import main
from tune.run.directory import LEDGER_FILE
from tune.run.events import SweepStopped
from tune.run.lease import hold
from tune.run.ledger import Ledger
from tune.session.run_directory import write_spec
from tune.session.status import STOP_REASON, was_asked_to_stop
from tune.sweep.spec import parse_spec

SIZE = ("--cpus-per-node", "8", "--time", "4:00:00")
KINDS = pytest.mark.parametrize("kind", ["pbs", "lsf"])


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with a space in its name and a spec in it, as the current one, first on the PATH."""
    folder = tmp_path / "my sweeps"
    folder.mkdir()
    (folder / "small.yaml").write_text(yaml.safe_dump(SPEC))
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    return folder


def launch(kind, *words, size=SIZE):
    return main(["launch", kind, "small.yaml", *size, *words])


@pytest.fixture
def script(capsys):
    """A function that makes the script for some options, and lets bash check it."""

    def make(kind, *words, size=SIZE):
        assert launch(kind, *words, size=size) == 0
        text = capsys.readouterr().out
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)
        return text

    return make


def directives(text):
    return [line for line in text.splitlines() if line.startswith(("#PBS", "#BSUB"))]


def program(folder, name, lines):
    """Put a program into the folder; it writes its arguments to a file, one call a line."""
    path = folder / name
    path.write_text(f'#!/bin/bash\nprintf "%s|" "$@" >> asked; echo >> asked\n{lines}\n')
    path.chmod(0o755)


def begun(**event):
    """Leave a run that has begun, and perhaps stopped."""
    run = Path("runs") / SPEC["name"]
    run.mkdir(parents=True)
    write_spec(run, parse_spec(SPEC))
    (run / LEDGER_FILE).touch()
    if event:
        with Ledger(run) as ledger:
            ledger.append(SweepStopped(**event))
    return run


ALL = ("--gpus-per-node", "2", "--mem", "32GB", "--queue", "gpu", "--account", "faces")


def test_pbs_is_asked_for_what_was_asked(script):
    assert directives(script("pbs", *ALL, "--name", "mine")) == [
        "#PBS -N mine",
        "#PBS -l select=1:ncpus=8:ngpus=2:mem=32gb",
        "#PBS -l walltime=4:00:00",
        "#PBS -j oe",
        "#PBS -q gpu",
        "#PBS -A faces",
    ]
    assert directives(script("pbs", size=("--cpus-per-node", "1", "--time", "1-0:00:07"))) == [
        "#PBS -N small",
        "#PBS -l select=1:ncpus=1",
        "#PBS -l walltime=24:00:07",
        "#PBS -j oe",
    ]


def test_lsf_is_asked_for_what_was_asked(script):
    assert directives(script("lsf", *ALL)) == [
        "#BSUB -J small",
        "#BSUB -n 8",
        '#BSUB -R "span[hosts=1]"',
        "#BSUB -W 4:00",
        "#BSUB -o small-%J.log",
        '#BSUB -gpu "num=2:j_exclusive=yes"',
        '#BSUB -R "rusage[mem=32GB]"',
        "#BSUB -q gpu",
        "#BSUB -P faces",
    ]
    assert directives(script("lsf", size=("--cpus-per-node", "1", "--time", "1-0:05:59"))) == [
        "#BSUB -J small",
        "#BSUB -n 1",
        '#BSUB -R "span[hosts=1]"',
        "#BSUB -W 24:05",
        "#BSUB -o small-%J.log",
    ]


@KINDS
def test_each_job_waits_for_the_one_before_whatever_its_end(folder, capsys, kind):
    program(folder, "qsub", "echo $(wc -l < asked).head")
    program(
        folder,
        "bsub",
        'test "$(head -c 11)" = "#!/bin/bash" || exit 9\n'
        'echo "Job <$(wc -l < asked)> is submitted to queue <gpu>."',
    )
    assert launch(kind, "--jobs", "3", "--submit") == 0
    ids, asked, end = {
        "pbs": (
            ["1.head", "2.head", "3.head"],
            ["small.pbs|", "-W|depend=afterany:1.head|small.pbs|",
             "-W|depend=afterany:2.head|small.pbs|"],
            "qdel",
        ),
        "lsf": (["1", "2", "3"], ["|", "-w|ended(1)|", "-w|ended(2)|"], "bkill"),
    }[kind]  # fmt: skip
    assert (folder / "asked").read_text().splitlines() == asked
    told = f"jobs from small.{kind}: {' '.join(ids)}; to end them: {end} {' '.join(ids)}\n"
    said = capsys.readouterr()
    assert said.out == told
    assert said.err.startswith("warning: data: there is nothing at data/none;")
    assert directives((folder / f"small.{kind}").read_text())


@pytest.mark.parametrize(("since", "is_continued"), [(-10.0, True), (10.0, False)])
def test_a_job_continues_a_sweep_unless_it_was_asked_to_stop_since(
    folder, script, monkeypatch, since, is_continued
):
    begun(reason=STOP_REASON, time=time.time() + since)
    text = script("pbs", "--python", "our-python -X dev", "--setup", "export MODULE=loaded")
    program(
        folder,
        "our-python",
        f'case "$*" in *stopped*) exec {sys.executable} "${{@:3}}";; esac\n'
        'echo "$RAY_OVERRIDE_RESOURCES $MODULE ${RAY_ADDRESS-none}"; exit 3',
    )
    monkeypatch.setenv("RAY_ADDRESS", "the-site:6379")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    done = subprocess.run(["bash"], input=text, capture_output=True, text=True)
    calls = [line.split("|") for line in (folder / "asked").read_text().splitlines()]
    assert calls[0][:7] == ["-X", "dev", "-m", "tune", "launch", "stopped", "runs/small"]
    if is_continued:
        assert calls[1:] == [["-X", "dev", "-m", "tune", "launch", "sweep", "small.yaml", ""]]
        assert (done.returncode, done.stdout) == (3, '{"CPU": 8} loaded none\n')
    else:
        assert len(calls) == 1
        assert (done.returncode, done.stdout) == (
            0,
            "small: `tune stop` has ended it; launch it again to continue\n",
        )


def test_the_sweep_is_asked_to_stop_before_the_time_limit(folder, script):
    text = script("lsf", "--python", "our-python")
    limit = 'timeout "$((13680 - SECONDS))"'  # A twentieth of four hours before they end.
    assert limit in text
    program(
        folder,
        "our-python",
        'case "$*" in *stopped*) exit 1;; esac\n'
        "trap 'echo asked to stop; exit 130' TERM; sleep 60 & wait",
    )
    shorter = text.replace(limit, "timeout 1")  # A limit of 0, after a slow start, would be none.
    done = subprocess.run(["bash"], input=shorter, capture_output=True, text=True, timeout=30)
    assert (done.returncode, done.stdout) == (124, "asked to stop\n")


@pytest.mark.parametrize(("gpus", "code"), [("1", 1), (None, 5)])
def test_a_job_without_the_gpus_that_it_requested_trains_nothing(folder, script, gpus, code):
    text = script("pbs", "--python", "our-python", *(["--gpus-per-node", gpus] if gpus else []))
    program(
        folder,
        "our-python",
        f'case "$*" in *stopped*) exit 1;; *sweep*) exit 5;; esac\nexec {sys.executable} "$@"',
    )
    (folder / "torch.py").write_text("class cuda:\n    device_count = lambda: 0\n")
    done = subprocess.run(["bash"], input=text, capture_output=True, text=True)
    assert done.returncode == code
    told = "error: the job requested 1 GPUs, and torch sees 0\n"
    assert done.stderr == (told if gpus else "")


@KINDS
def test_a_job_that_is_refused_is_told_with_those_before_it(folder, capsys, kind):
    end = 'test $(wc -l < asked) -lt 2 || { echo "no such\n queue" >&2; exit 1; }\n'
    program(folder, "qsub", f"{end}echo 7")
    program(folder, "bsub", f"{end}echo 'Job <7> is submitted.'")
    assert launch(kind, "--jobs", "3", "--submit", "--out", "job.sh") == 2
    title = {"pbs": "PBS", "lsf": "LSF"}[kind]
    _, told = capsys.readouterr().err.splitlines()
    assert told == f"error: {title} refuses job.sh: no such queue; submitted before it: 7"


def test_an_answer_without_a_job_is_told(folder, capsys):
    program(folder, "bsub", "echo welcome")
    assert launch("lsf", "--submit") == 2
    assert "error: bsub answers 'welcome', in which there is no job" in capsys.readouterr().err


@KINDS
def test_without_the_scheduler_submit_says_where_to_go(capsys, monkeypatch, kind):
    monkeypatch.setenv("PATH", "/nowhere")
    assert launch(kind, "--submit") == 2
    command = {"pbs": "qsub", "lsf": "bsub"}[kind]
    assert f"there is no {command} here; run this on a login node" in capsys.readouterr().err


def test_a_sweep_that_runs_is_not_submitted_again(folder, capsys):
    with hold(begun()):
        assert launch("pbs", "--submit") == 2
    assert "is running already" in capsys.readouterr().err
    assert not (folder / "small.pbs").exists()


@KINDS
@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("--cpus-per-node", "0"), "--cpus-per-node must be 1 or more, but got 0"),
        (("--gpus-per-node", "-1"), "--gpus-per-node must be 0 or more"),
        (("--jobs", "0"), "--jobs must be 1 or more, but got 0"),
        (("--time", "tomorrow"), "--time must be written like 4:00:00"),
        (("--time", "0:30"), "--time must be a minute or more, but got 0:30"),
        (("--mem", "much"), "--mem must be written like 32GB, but got 'much'"),
        (("--mem", "32GB a node"), "--mem must be written like 32GB, but got '32GB a node'"),
        (("--queue", "a\n#PBS -q b"), "--queue must be a name without spaces"),
        (("--account", "a b"), "--account must be a name without spaces"),
        (("--setup", "if"), "is not valid shell code"),
    ],
)
def test_a_request_that_breaks_a_rule_is_refused_in_one_line(capsys, kind, words, cause):
    assert launch(kind, *words) == 2
    said = capsys.readouterr()
    assert (said.out, said.err.count("\n")) == ("", 1)
    assert cause in said.err


def test_a_minute_is_long_enough_and_memory_is_written_in_any_case(script):
    least = ("--cpus-per-node", "1", "--time", "1")
    pbs = directives(script("pbs", "--mem", "32gb", size=least))
    assert {"#PBS -l walltime=0:01:00", "#PBS -l select=1:ncpus=1:mem=32gb"} <= set(pbs)
    text = script("lsf", "--mem", "32Gb", size=least)
    assert text.endswith("\n")
    assert not text.endswith("\n\n")
    lsf = directives(text)
    assert {"#BSUB -W 0:01", '#BSUB -R "rusage[mem=32GB]"'} <= set(lsf)


def test_one_job_is_submitted_where_no_number_is_given(folder, capsys):
    program(folder, "qsub", "echo 7.head")
    assert launch("pbs", "--submit") == 0
    assert (folder / "asked").read_text().splitlines() == ["small.pbs|"]
    assert capsys.readouterr().out == "jobs from small.pbs: 7.head; to end them: qdel 7.head\n"


@KINDS
def test_cores_and_time_have_no_default(capsys, kind):
    for size in (SIZE[:2], SIZE[2:]):
        assert launch(kind, size=size) == 2
        assert "--cpus-per-node and --time are needed" in capsys.readouterr().err


def test_a_stop_counts_from_a_time_on():
    run = begun(reason=STOP_REASON, time=100.0)
    assert [was_asked_to_stop(run, since=since) for since in (99, 100, 101)] == [True, True, False]


@KINDS
def test_the_printed_commands_are_taken_as_printed(folder, capsys, kind):
    program(folder, "qsub", "echo 7")
    program(folder, "bsub", "echo 'Job <7> is submitted.'")
    guide = (Path(__file__).parents[1] / "docs" / "clusters.md").read_text()
    (printed,) = re.findall(rf"^python -m tune (launch {kind} .*)$", guide, re.MULTILINE)
    with pytest.raises(SystemExit):
        main(["launch", kind, "--help"])
    (helped,) = re.findall(
        r"example: python -m tune (.*)", " ".join(capsys.readouterr().out.split())
    )
    for command in (printed, helped):
        words = ["small.yaml" if word.endswith(".yaml") else word for word in shlex.split(command)]
        assert main(words) == 0, capsys.readouterr().err
        assert "--submit" in words
