"""What a job is told by Slurm, and asks of it; shell scripts stand in for Slurm."""

import sys
from datetime import datetime
from pathlib import Path

import pytest

from tests.support.allocations import JOB, Programs, job_of
from tune.launch.errors import LaunchError
from tune.launch.job import SlurmJob, refuse_if_running


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A function that puts a shell script with a name of Slurm's first on the path."""
    return Programs(tmp_path, monkeypatch)


@pytest.mark.parametrize(
    ("given", "gpus"), [(None, 0), ("4", 4), ("a100:4,v100:2", 6), ("gpu:a100:2", 2)]
)
def test_a_job_is_read_from_what_slurm_says(program, monkeypatch, given, gpus):
    with pytest.raises(LaunchError, match="this process is not in a Slurm job"):
        SlurmJob.here()
    program("scontrol", "echo n7; echo n3")
    monkeypatch.setenv("SLURM_JOB_ID", JOB)
    monkeypatch.setenv("SLURM_JOB_NODELIST", "n[7,3]")
    if given:
        monkeypatch.setenv("SLURM_GPUS_PER_NODE", given)
    assert SlurmJob.here() == job_of(gpus=gpus, cpus=None)
    assert program.asked() == ["scontrol show hostnames n[7,3]"]
    monkeypatch.setenv("SLURM_CPUS_PER_TASK", "16")
    assert SlurmJob.here().cpus == "16"


@pytest.mark.parametrize(
    ("variables", "gpus"),
    [
        ({"SLURM_GPUS_ON_NODE": "2"}, 2),
        ({"SLURM_GPUS_ON_NODE": "a100:3", "CUDA_VISIBLE_DEVICES": "0"}, 3),
        ({"SLURM_JOB_GPUS": "0-2,5"}, 4),
        ({"CUDA_VISIBLE_DEVICES": "1,3"}, 2),
        ({"CUDA_VISIBLE_DEVICES": ""}, 0),
        ({"CUDA_VISIBLE_DEVICES": "-1"}, 0),
        ({"CUDA_VISIBLE_DEVICES": "NoDevFiles"}, 0),
        ({"CUDA_VISIBLE_DEVICES": "GPU-8932f937,MIG-2b"}, 2),
        ({"SLURM_GPUS_PER_NODE": "1", "SLURM_GPUS_ON_NODE": "4"}, 1),
    ],
)
def test_gpus_are_seen_however_they_were_asked_for(program, monkeypatch, variables, gpus):
    program("scontrol", "echo n7; echo n3")
    monkeypatch.setenv("SLURM_JOB_ID", JOB)
    monkeypatch.setenv("SLURM_JOB_NODELIST", "n[7,3]")
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert SlurmJob.here().gpus == gpus


def test_the_end_of_a_job_is_in_local_time_and_unknown_where_slurm_does_not_say(
    program, monkeypatch
):
    monkeypatch.setenv("SLURM_TIME_FORMAT", "relative")
    program("squeue", "test $SLURM_TIME_FORMAT = standard && echo 2031-05-06T07:08:09")
    assert job_of().end() == datetime(2031, 5, 6, 7, 8, 9).timestamp()
    assert program.asked() == [f"squeue --noheader --job {JOB} --format %e"]
    program("squeue", "echo N/A")
    assert job_of().end() is None
    program("squeue", "exit 1")
    assert job_of().end() is None
    assert job_of().nodes_left() == ()
    monkeypatch.setattr("tune.launch.job._ANSWER_SECONDS", 0.1)
    program("squeue", "exec sleep 5")
    assert job_of().end() is None
    assert job_of().nodes_left() == ()


def test_the_nodes_that_are_left_are_those_that_slurm_still_has(program):
    program("squeue", "echo n[3]")
    program("scontrol", "echo n3")
    assert job_of().nodes_left() == ("n3",)
    assert program.asked() == [
        f"squeue --noheader --job {JOB} --format %N", "scontrol show hostnames n[3]",
    ]  # fmt: skip


def test_a_command_is_run_once_on_every_node():
    words = job_of().on_each_node(["a", "b c"], "--label")
    assert words == [
        "srun", "--nodes", "2", "--ntasks-per-node=1", "--export=ALL", "--cpus-per-task=16",
        "--label", sys.executable, "-m", "tune", "a", "b c",
    ]  # fmt: skip
    assert job_of(cpus=None).on_each_node([])[4:] == ["--export=ALL", sys.executable, "-m", "tune"]


def test_the_python_of_the_nodes_can_be_a_container(monkeypatch):
    monkeypatch.setenv("TUNE_PYTHON", "apptainer exec --nv 'my image.sif' python")
    assert job_of(cpus=None).on_each_node(["a"])[5:] == [
        "apptainer", "exec", "--nv", "my image.sif", "python", "-m", "tune", "a",
    ]  # fmt: skip


def test_a_job_without_the_gpus_that_it_requested_does_not_train_on_cores(program, monkeypatch):
    program("scontrol", "echo n7; echo n3")
    monkeypatch.setenv("SLURM_JOB_ID", JOB)
    monkeypatch.setenv("SLURM_JOB_NODELIST", "n[7,3]")
    monkeypatch.setenv("TUNE_NEEDS_GPUS", "1")
    with pytest.raises(LaunchError, match="this job has no GPUs, although it requested some"):
        SlurmJob.here()
    monkeypatch.setenv("SLURM_GPUS_ON_NODE", "2")
    assert SlurmJob.here().gpus == 2


def test_a_job_that_cannot_reach_slurm_is_told_so_in_one_line(program, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", JOB)
    monkeypatch.setenv("SLURM_JOB_NODELIST", "n[7,3]")
    monkeypatch.setenv("PATH", str(program.folder))
    with pytest.raises(LaunchError, match="Slurm's commands, such as scontrol, are not on the"):
        SlurmJob.here()


def test_a_job_is_queued_again_or_says_why_not(program):
    program("scontrol", "")
    job_of().queue_again()
    assert program.asked()[-1] == f"scontrol requeue Incomplete {JOB}"
    program("scontrol", "echo 'not\n allowed' >&2; exit 1")
    with pytest.raises(LaunchError, match=rf"does not requeue job {JOB}: not allowed; "):
        job_of().queue_again()


@pytest.mark.parametrize(
    ("said", "ended"),
    [
        ("JobState=COMPLETING Reason=TimeLimit", True),
        ("JobState=COMPLETING PreemptTime=2031-05-06T07:08 EndTime=2031-05-06T07:08", True),
        ("JobState=COMPLETING Reason=None", False),
        ("JobState=RUNNING Reason=None", False),
    ],
    ids=["out of time", "preempted", "cancelled meanwhile", "runs"],
)
def test_a_job_that_slurm_has_ended_is_queued_again_unless_it_was_cancelled(program, said, ended):
    program("scontrol", f"echo {said}")
    job_of().queue_again()
    word = "" if ended else "Incomplete "
    assert program.asked()[-1] == f"scontrol requeue {word}{JOB}"


def test_a_way_out_is_quoted_and_jobs_that_are_suspended_hold_their_run(program, monkeypatch):
    run = Path("my runs/small")
    holder = {"host": "n9", "pid": 7}
    monkeypatch.setattr("tune.launch.job.holder_of", lambda _run: holder)
    with pytest.raises(LaunchError, match=r"end it with `python -m tune stop 'my runs/small'`$"):
        refuse_if_running(run)
    refuse_if_running(run, but=JOB)
    holder["job"] = "17"
    program("squeue", "echo SUSPENDED")
    with pytest.raises(LaunchError, match=r"end it with `scancel 17`$"):
        refuse_if_running(run, but=JOB)
    assert program.asked() == ["squeue --noheader --job 17 --states=RUNNING,SUSPENDED --format=%T"]


@pytest.mark.parametrize("answer", ["echo 'Invalid job id' >&2; exit 1", "exec sleep 5"])
def test_a_run_whose_job_slurm_does_not_know_is_free(program, monkeypatch, answer):
    monkeypatch.setattr("tune.launch.job.holder_of", lambda _run: {"host": "n9", "job": "17"})
    monkeypatch.setattr("tune.launch.job._ANSWER_SECONDS", 0.1)
    program("squeue", answer)
    refuse_if_running(Path("runs/small"), but=JOB)


def test_a_job_that_slurm_has_requeued_is_left_alone(program):
    program("scontrol", "echo JobState=COMPLETING Restarts=1")
    job_of().queue_again()
    assert program.asked() == [f"scontrol --oneliner show job {JOB}"]


@pytest.mark.parametrize(("said", "told"), [("None", False), ("2031-05-06T07:08:09", True)])
def test_a_preemption_is_known_by_its_time(program, said, told):
    program("scontrol", f"echo JobId={JOB} PreemptEligibleTime=2030-01-01 PreemptTime={said} A=b")
    assert job_of().was_told_to_leave() is told
    program("scontrol", "exit 1")
    assert not job_of().was_told_to_leave()


@pytest.mark.parametrize(
    ("state", "preempted", "end", "restarts", "goes_on"),
    [
        ("RUNNING", "07:08:09", "07:08:34", 3, True),
        ("COMPLETING", "07:08:34", "07:08:34", 3, True),
        ("COMPLETING", "07:08:09", "07:08:20", 3, False),
        ("COMPLETING", None, "07:08:20", 3, False),
        ("COMPLETING", None, None, 4, True),
        ("COMPLETING Reason=TimeLimit", None, "07:08:20", 3, True),
    ],
    ids=[
        *("in its grace time", "after it", "cancelled in it", "cancelled", "requeued by Slurm"),
        "out of time",
    ],
)
def test_a_job_that_can_go_on_is_told_from_a_cancelled_one(
    program, monkeypatch, state, preempted, end, restarts, goes_on
):
    monkeypatch.setenv("SLURM_RESTART_COUNT", "3")
    began = "" if preempted is None else f"PreemptTime=2031-05-06T{preempted}"
    over = "Unknown" if end is None else f"2031-05-06T{end}"
    program("scontrol", f"echo JobState={state} Restarts={restarts} EndTime={over} {began}")
    assert (job_of().goes_on(), job_of().is_cancelled()) == (goes_on, not goes_on)
    assert program.asked()[0] == f"scontrol --oneliner show job {JOB}"
    program("scontrol", "exit 1")
    assert (job_of().goes_on(), job_of().is_cancelled()) == (False, False)


@pytest.mark.parametrize(("reason", "is_out"), [("None", False), ("TimeLimit", True)])
def test_a_job_that_slurm_ends_at_its_time_limit_is_known_by_the_reason(program, reason, is_out):
    program("scontrol", f"echo JobId={JOB} JobState=COMPLETING Reason={reason} A=b")
    assert job_of().is_out_of_time() is is_out
    program("scontrol", "exit 1")
    assert not job_of().is_out_of_time()
