"""The batch script and the manifest that `tune launch` writes, and what it refuses."""

import importlib.metadata
import json
import math
import os
import re
import shlex
import socket
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest
import yaml

from tests.support.sweeps import SPEC
from tune.__main__ import main
from tune.launch.deadline import Deadline
from tune.launch.preflight import NodeFacts, complaints, token_fingerprint
from tune.launch.slurm import limit_seconds, margin_seconds
from tune.run.directory import LEDGER_FILE
from tune.run.events import SweepStopped
from tune.run.lease import hold
from tune.run.ledger import Ledger
from tune.session.run_directory import write_spec
from tune.session.status import STOP_REASON
from tune.sweep.spec import parse_spec

ROOT = Path(__file__).parents[1]
SCHEMA = json.loads((Path(__file__).parent / "fixtures/kuberay_rayjob.schema.json").read_text())


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with a space in its name and a spec in it, as the current one."""
    folder = tmp_path / "my sweeps"
    folder.mkdir()
    (folder / "small.yaml").write_text(yaml.safe_dump(SPEC))
    monkeypatch.chdir(folder)
    return folder


def slurm(*words):
    return main(["launch", "slurm", "small.yaml", "--time", "4:00:00", *words])


def kubernetes(*words):
    return main(["launch", "kubernetes", "small.yaml", *words])


def options(script):
    """The #SBATCH options of a script: name → value."""
    lines = [line.split(maxsplit=1)[1] for line in script.splitlines() if "#SBATCH" in line]
    return dict(line.removeprefix("--").partition("=")[::2] for line in lines)


def test_the_script_is_valid_bash_and_asks_for_what_was_asked(capsys):
    words = ("--nodes", "4", "--gpus-per-node", "2", "--cpus-per-node", "16", "--stage-data")
    assert slurm(*words, "--partition", "gpu", "--account", "faces", "--set", "fixed.epochs=3") == 0
    script = capsys.readouterr().out
    subprocess.run(["bash", "-n"], input=script, text=True, check=True)
    asked = options(script)
    assert (
        asked.items()
        >= {
            "nodes": "4",
            "gpus-per-node": "2",
            "cpus-per-task": "16",
            "time": "4:00:00",
            "partition": "gpu",
            "account": "faces",
            "requeue": "",
            "signal": "B:USR1@720",
        }.items()
    )
    assert "exclusive" not in asked
    assert "TUNE_STAGE" in script
    assert script.endswith("launch allocation small.yaml --set fixed.epochs=3\n")


def test_whole_nodes_are_asked_for_where_no_cores_are(capsys):
    assert slurm() == 0
    script = capsys.readouterr().out
    assert "exclusive" in options(script)
    assert not {"cpus-per-task", "gpus-per-node", "partition"} & set(options(script))
    assert "TUNE_STAGE" not in script


def test_submit_keeps_the_script_and_hands_it_to_slurm(folder, capsys, monkeypatch):
    sbatch = folder / "sbatch"
    sbatch.write_text('#!/bin/sh\necho "$@" > asked\necho "7;cluster"\n')
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    assert slurm("--submit") == 0
    assert "job 7 from small.sbatch; its log is small-7.log" in capsys.readouterr().out
    assert (folder / "asked").read_text() == "--parsable small.sbatch\n"
    assert options((folder / "small.sbatch").read_text())["nodes"] == "1"
    assert slurm("--submit", "--name", "mine") == 0
    assert (folder / "asked").read_text() == "--parsable mine.sbatch\n"


def test_a_sweep_that_runs_already_is_not_submitted_again(folder, capsys, monkeypatch):
    monkeypatch.setenv("SLURM_JOB_ID", "17")
    squeue = folder / "squeue"
    squeue.write_text("#!/bin/sh\necho RUNNING\n")
    squeue.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    run = begin(parse_spec(SPEC))
    with hold(run):
        assert slurm("--submit") == 2
        assert slurm() == 0, "the script alone does no harm"
    told = f"error: {run} is running already, in process {os.getpid()} on {socket.gethostname()} "
    assert f"{told}(Slurm job 17); wait for it, or end it with `scancel 17`" in (
        capsys.readouterr().err
    )
    assert not (folder / "small.sbatch").exists()


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("--nodes", "0"), "--nodes must be 1 or more, but got 0"),
        (("--cpus-per-node", "0"), "--cpus-per-node must be 1 or more"),
        (("--gpus-per-node", "v100l"), "--gpus-per-node must be a number or TYPE:NUMBER"),
        (("--time", "tomorrow"), "--time must be written like 4:00:00"),
        (("--time", "0:30"), "--time must be a minute or more"),
        (("--account", "a\n#SBATCH --nodes=9"), "account must be one line without quotes"),
        (("--set", "fixed.epoch=3"), "the nearest one is 'epochs'"),
    ],
)
def test_a_request_that_breaks_a_rule_is_refused_in_one_line(capsys, words, cause):
    assert slurm(*words) == 2
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("error: ")
    assert cause in said.err
    assert said.err.count("\n") == 1


def test_paths_with_spaces_stand_in_quotes(folder, capsys, monkeypatch):
    (folder / "small.yaml").rename(folder / "my small.yaml")
    monkeypatch.setattr(sys, "executable", "/opt/my python/bin/python")
    words = ["--set", "data=a b", "--name", "s.1", "--time", "1-12"]
    assert main(["launch", "slurm", "my small.yaml", *words]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-1] == (
        "exec '/opt/my python/bin/python' -m tune launch allocation 'my small.yaml' --name s.1 "
        "--set 'data=a b'"
    )
    assert f"cd '{folder}' || exit" in lines
    asked = options("\n".join(lines))
    assert (asked["job-name"], asked["output"], asked["nodes"]) == ("s.1", "s.1-%j.log", "1")
    assert asked["ntasks-per-node"] == "1"
    assert {"requeue", "no-kill", "open-mode"} <= set(asked)
    assert "#   '/opt/my python/bin/python' -m tune status runs/s.1" in lines
    # A twentieth of a day and a half is two hours, but never more than a quarter of an hour.
    assert asked["signal"] == "B:USR1@900"
    assert not any("PYTHONPATH" in line for line in lines), "the package is installed"


def test_submit_tells_what_slurm_refuses_and_where_the_script_is(folder, capsys, monkeypatch):
    sbatch = folder / "sbatch"
    sbatch.write_text("#!/bin/sh\necho 'no such\n partition' >&2\nexit 1\n")
    sbatch.chmod(0o755)
    monkeypatch.setenv("PATH", str(folder), prepend=os.pathsep)
    assert slurm("--submit", "--out", "a b.sbatch") == 2
    error = capsys.readouterr().err
    assert "error: Slurm refuses a b.sbatch: no such partition; docs/slurm.md lists" in error
    assert (folder / "a b.sbatch").exists()
    assert not (folder / "small.sbatch").exists()


@pytest.mark.parametrize(
    ("limit", "margin"),
    [(60, 20), (400, 20), (420, 21), (4 * 3600, 720), (18_000, 900), (86_400, 900)],
)
def test_a_margin_is_a_twentieth_of_the_time_limit_between_its_bounds(limit, margin):
    assert margin_seconds(limit) == margin


def test_a_minute_is_long_enough(capsys):
    assert slurm("--time", "1") == 0
    assert options(capsys.readouterr().out)["signal"] == "B:USR1@20"
    assert slurm("--time", "0:59") == 2


def test_a_dataset_that_is_not_there_is_told_before_the_job_queues(folder, capsys):
    (folder / "data").mkdir()
    for place, told in (("data", False), ("s3://bucket/faces", False), ("nowhere", True)):
        assert slurm("--data", place) == 0
        assert (f"there is nothing at {place}" in capsys.readouterr().err) == told


@pytest.mark.parametrize("out", [".", "nowhere/job.sbatch"])
def test_a_script_that_cannot_be_written_is_told_in_one_line(capsys, out):
    assert slurm("--out", out) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: cannot write {out}: ")
    assert line.endswith("give --out a file in an existing folder")


def test_without_slurm_submit_says_where_to_go(capsys, monkeypatch):
    monkeypatch.setenv("PATH", "/nowhere")
    assert slurm("--submit") == 2
    assert "there is no sbatch here" in capsys.readouterr().err


def test_a_name_that_another_spec_has_taken_is_refused(capsys):
    begin(parse_spec(SPEC))
    assert slurm() == 0
    assert slurm("--data", "elsewhere") == 0  # The dataset may move.
    assert slurm("--set", "fixed.epochs=3") == 2
    assert "made from another spec" in capsys.readouterr().err
    assert slurm("--set", "fixed.epochs=3", "--name", "other") == 0


def begin(spec):
    """Leave a run as if it had begun."""
    run = Path("runs") / spec.name
    run.mkdir(parents=True)
    write_spec(run, spec)
    (run / LEDGER_FILE).touch()
    return run


@pytest.mark.parametrize(
    ("time", "seconds"),
    [
        ("90", 5400),
        ("1:30", 90),
        ("4:00:00", 14_400),
        ("1-12", 129_600),
        ("1-12:30", 131_400),
        ("7-00:00:05", 604_805),
    ],
)
def test_times_are_read_as_slurm_reads_them(time, seconds):
    assert limit_seconds(time) == seconds


def test_an_allocation_is_left_in_good_time(tmp_path, monkeypatch):
    now = 1000.0
    monkeypatch.setattr("time.time", lambda: now)
    ends = iter([now + 4 * 3600])
    deadline = Deadline(lambda: next(ends, 1000.0 + 4 * 3600), tmp_path)
    assert not deadline.leave()
    assert margin_seconds(4 * 3600) == 720
    deadline.signal()  # Slurm's may be early.
    assert not deadline.leave()
    now += 4 * 3600 - 730
    assert not deadline.leave()
    now += 61
    assert deadline.leave()
    now += 660
    assert deadline.seconds_left() == 9.0


def test_where_slurm_does_not_say_the_end_its_signal_counts(tmp_path):
    deadline = Deadline(lambda: None, tmp_path)
    assert not deadline.leave()
    deadline.signal()
    assert deadline.leave()
    assert deadline.seconds_left() == math.inf


FIT = {"versions": {"Python": "3.12.1", "torch": "2.14.1"}, "gpus": 2, "unwritable": ""}


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({}, None),
        ({"versions": {"Python": "3.12.1", "torch": "2.11.0"}}, "n7 has torch 2.11.0, but the"),
        ({"gpus": 1}, "torch sees 1 GPUs on n7, but 2 were requested"),
        ({"unwritable": "Permission denied"}, "runs: Permission denied"),
        ({"token": token_fingerprint("wrong")}, "n7 has a different Ray token"),
    ],
)
def test_the_preflight_says_what_a_node_lacks(tmp_path, changes, cause):
    mark = tmp_path / "runs" / ".mark"
    mark.parent.mkdir()
    mark.touch()
    token = token_fingerprint("right")
    facts = NodeFacts.from_json(NodeFacts(**{**FIT, "token": token, **changes}).to_json())
    expected = NodeFacts(**FIT, token=token)
    said = list(complaints("n7", facts, expected=expected, gpus=2, mark=mark))
    assert len(said) == (cause is not None)
    assert cause is None or cause in said[0]


def test_a_node_that_cannot_write_is_told_so_and_no_more(tmp_path):
    facts = NodeFacts(**{**FIT, "unwritable": "Read-only file system"}, token="")
    (said,) = complaints("n7", facts, expected=facts, gpus=2, mark=tmp_path / "no mark")
    assert said == f"n7 cannot write to {tmp_path}: Read-only file system"


def test_the_preflight_knows_a_folder_that_is_not_shared(tmp_path):
    facts = NodeFacts(**FIT, token="")
    (said,) = complaints("n7", facts, expected=facts, gpus=0, mark=tmp_path / ".mark")
    assert f"n7 does not share the folder {tmp_path} with the driver" in said


def test_the_manifest_is_what_kuberay_takes(capsys):
    words = ("--nodes", "3", "--gpus-per-node", "1", "--cpus-per-node", "8", "--image", "me/it:1")
    assert kubernetes(*words, "--name", "My_Sweep.2") == 0
    spec, job = yaml.safe_load_all(capsys.readouterr().out)
    jsonschema.validate(job, SCHEMA)
    cluster = job["spec"]["rayClusterSpec"]
    (workers,) = cluster["workerGroupSpecs"]
    (container,) = workers["template"]["spec"]["containers"]
    assert workers["replicas"] == 3
    assert container["resources"]["limits"]["nvidia.com/gpu"] == "1"
    assert container["image"] == "me/it:1"
    assert cluster["authOptions"] == {"mode": "token"}
    mounted = [one["configMap"]["name"] for one in workers["template"]["spec"]["volumes"][1:]]
    assert mounted == [spec["metadata"]["name"]] == ["my-sweep-2-spec"]
    assert parse_spec(yaml.safe_load(spec["data"]["spec.yaml"])).name == "My_Sweep.2"


def test_the_manifest_runs_the_sweep_on_the_claim_and_lets_the_driver_alone_on_its_pod(capsys):
    words = ("--cpus-per-node", "8", "--memory", "64Gi", "--claim", "faces", "--nodes", "3")
    assert kubernetes(*words) == 0
    _, job = yaml.safe_load_all(capsys.readouterr().out)
    assert job["metadata"]["name"] == "small"
    assert job["spec"]["entrypoint"] == (
        "sh -c 'cd /work && { python -m tune launch sweep /etc/sweep/spec.yaml || "
        "python -m tune launch stopped runs/small; }'"
    )
    assert (job["spec"]["backoffLimit"], job["spec"]["shutdownAfterJobFinishes"]) == (10, True)
    cluster = job["spec"]["rayClusterSpec"]
    head, (workers,) = cluster["headGroupSpec"], cluster["workerGroupSpecs"]
    assert head["rayStartParams"] == {"num-cpus": "0"}
    assert workers["rayStartParams"] == {}
    assert [workers[key] for key in ("replicas", "minReplicas", "maxReplicas")] == [3, 3, 3]
    for group, resources in (
        (head, {"cpu": "2", "memory": "8Gi"}),
        (workers, {"cpu": "8", "memory": "64Gi"}),
    ):
        pod = group["template"]["spec"]
        (container,) = pod["containers"]
        assert container["resources"] == {"requests": resources, "limits": resources}
        assert {one["name"]: one["mountPath"] for one in container["volumeMounts"]} == {
            "work": "/work", "spec": "/etc/sweep",
        }  # fmt: skip
        assert pod["volumes"][0]["persistentVolumeClaim"] == {"claimName": "faces"}
    assert cluster["rayVersion"] == importlib.metadata.version("ray")


def test_the_manifest_does_not_retry_a_sweep_that_was_asked_to_stop(capsys, folder):
    assert kubernetes("--cpus-per-node", "8") == 0
    _, job = yaml.safe_load_all(capsys.readouterr().out)
    python = folder / "python"  # Stands in for the sweep, and runs all else.
    ours = f"PYTHONPATH='{ROOT}' exec '{sys.executable}' \"$@\""
    python.write_text(f'#!/bin/sh\ntest "$4" = sweep && exit 130\n{ours}\n')
    python.chmod(0o755)
    _, _, script = shlex.split(job["spec"]["entrypoint"])
    words = ["sh", "-c", script.replace("cd /work", "true")]
    run = begin(parse_spec(SPEC))
    environment = {**os.environ, "PATH": f"{folder}:{os.environ['PATH']}"}
    for reason, code in ((STOP_REASON, 0), ("stopped by SIGTERM", 1)):
        with Ledger(run) as ledger:
            ledger.append(SweepStopped(reason=reason, time=1.0))
        assert subprocess.run(words, env=environment).returncode == code, reason


def test_a_name_is_written_as_kubernetes_allows_it(capsys):
    name = "Ab_." + "x" * 36 + "__y"
    assert kubernetes("--cpus-per-node", "1", "--name", name) == 0
    spec, job = yaml.safe_load_all(capsys.readouterr().out)
    assert job["metadata"]["name"] == "ab-" + "x" * 36
    assert len(job["metadata"]["name"]) == 39
    assert spec["metadata"]["name"] == f"{job['metadata']['name']}-spec"


def test_the_schema_refuses_a_field_that_kuberay_does_not_know(capsys):
    assert kubernetes("--cpus-per-node", "8") == 0
    _, job = yaml.safe_load_all(capsys.readouterr().out)
    job["spec"]["rayClusterSpec"]["workerGroupSpecs"][0]["replica"] = 3
    with pytest.raises(jsonschema.ValidationError, match="replica"):
        jsonschema.validate(job, SCHEMA)


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        ((), "add --cpus-per-node N"),
        (("--cpus-per-node", "0"), "--cpus-per-node must be 1 or more"),
        (("--cpus-per-node", "8", "--nodes", "0"), "--nodes must be 1 or more, but got 0"),
        (("--cpus-per-node", "8", "--gpus-per-node", "-1"), "--gpus-per-node must be 0 or more"),
        (("--cpus-per-node", "8", "--memory", "much"), "--memory must be written like 32Gi"),
        (("--cpus-per-node", "8", "--memory", "32Gi each"), "--memory must be written like 32Gi"),
        (("--cpus-per-node", "8", "--namespace", "My_Team"), "--namespace must be lower-case"),
        (("--cpus-per-node", "8", "--pull-secret", "a b"), "--pull-secret must be lower-case"),
        (("--cpus-per-node", "8", "--node-selector", "gpu"), "like pool=gpu, but got 'gpu='"),
        (("--cpus-per-node", "8", "--node-selector", "=gpu"), "like pool=gpu, but got '=gpu'"),
        (("--cpus-per-node", "8", "--toleration", "a:Never"), "--toleration must be written like"),
    ],
)
def test_a_manifest_that_kubernetes_would_refuse_is_not_written(folder, capsys, words, cause):
    assert kubernetes(*words, "--out", "job.yaml") == 2
    assert cause in capsys.readouterr().err
    assert not (folder / "job.yaml").exists()


PLACE = (
    "--namespace", "team", "--pull-secret", "registry", "--node-selector", "pool=gpu",
    "--node-selector", "zone=b", "--toleration", "nvidia.com/gpu:NoSchedule",
    "--toleration", "team=faces", "--toleration", "spot=:NoExecute",
)  # fmt: skip
TOLERATED = [
    {"operator": "Exists", "key": "nvidia.com/gpu", "effect": "NoSchedule"},
    {"operator": "Equal", "key": "team", "value": "faces"},
    {"operator": "Equal", "key": "spot", "value": "", "effect": "NoExecute"},
]


def test_pods_run_where_the_cluster_lets_them(capsys):
    assert kubernetes("--cpus-per-node", "8", *PLACE) == 0
    spec, job = yaml.safe_load_all(capsys.readouterr().out)
    jsonschema.validate(job, SCHEMA)
    assert spec["metadata"] == {"name": "small-spec", "namespace": "team"}
    assert job["metadata"] == {"name": "small", "namespace": "team"}
    cluster = job["spec"]["rayClusterSpec"]
    driver = cluster["headGroupSpec"]["template"]["spec"]
    trials = cluster["workerGroupSpecs"][0]["template"]["spec"]
    for pod in (driver, trials):
        assert pod["imagePullSecrets"] == [{"name": "registry"}]
        assert pod["tolerations"] == TOLERATED
    assert trials["nodeSelector"] == {"pool": "gpu", "zone": "b"}
    assert "nodeSelector" not in driver, "it needs no GPU"


def test_a_pod_says_nothing_of_what_is_not_asked_for(capsys):
    assert kubernetes("--cpus-per-node", "8") == 0
    spec, job = yaml.safe_load_all(capsys.readouterr().out)
    assert (spec["metadata"], job["metadata"]) == ({"name": "small-spec"}, {"name": "small"})
    (workers,) = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    assert set(workers["template"]["spec"]) == {"containers", "volumes"}


def test_a_job_prepares_the_data_on_the_claim(capsys):
    command = "python -m data_prep images 'my faces.zip' --out data/faces"
    words = ("--cpus-per-node", "8", "--claim", "shared", "--image", "me/it:1", *PLACE)
    assert kubernetes(*words, "--prepare", command) == 0
    (job,) = yaml.safe_load_all(capsys.readouterr().out)
    template = job["spec"].pop("template")
    assert job == {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "small-prepare", "namespace": "team"},
        "spec": {"backoffLimit": 0, "ttlSecondsAfterFinished": 600},
    }
    jsonschema.validate(template, {**SCHEMA["$defs"]["pod_template"], "$defs": SCHEMA["$defs"]})
    pod = template["spec"]
    (container,) = pod["containers"]
    assert (container["command"], container["image"]) == (["sh", "-c", command], "me/it:1")
    assert container["workingDir"] == container["volumeMounts"][0]["mountPath"] == "/work"
    assert pod["volumes"] == [{"name": "work", "persistentVolumeClaim": {"claimName": "shared"}}]
    assert pod["restartPolicy"] == "Never", "Kubernetes demands it of a Job, or OnFailure"
    assert pod["imagePullSecrets"] == [{"name": "registry"}]
    assert pod["tolerations"] == TOLERATED


def test_help_lists_what_users_call_and_not_what_jobs_call(capsys):
    with pytest.raises(SystemExit):
        main(["launch", "--help"])
    listed = re.findall(r"^    (\w+)(?:  |$)", capsys.readouterr().out, re.MULTILINE)
    assert listed == ["slurm", "pbs", "lsf", "kubernetes"]


@pytest.mark.usefixtures("folder")
def test_the_commands_for_kubernetes_that_we_print_are_taken_as_printed(capsys):
    guide = (Path(__file__).parents[1] / "docs" / "clusters.md").read_text()
    printed = re.findall(r"^python -m tune (launch kubernetes .*?) \|", guide, re.MULTILINE)
    assert len(printed) == 2
    with pytest.raises(SystemExit):
        main(["launch", "kubernetes", "--help"])
    (helped,) = re.findall(
        r"example: python -m tune (.*)", " ".join(capsys.readouterr().out.split())
    )
    for command in (*printed, helped):
        words = ["small.yaml" if word.endswith(".yaml") else word for word in shlex.split(command)]
        assert main(words) == 0, capsys.readouterr().err


def test_what_is_not_asked_for_on_kubernetes_is_this(capsys):
    assert kubernetes("--cpus-per-node", "8") == 0
    _, job = yaml.safe_load_all(capsys.readouterr().out)
    assert job["spec"]["ttlSecondsAfterFinished"] == 600
    (workers,) = job["spec"]["rayClusterSpec"]["workerGroupSpecs"]
    pod = workers["template"]["spec"]
    (container,) = pod["containers"]
    assert workers["replicas"] == 1
    assert container["image"] == "sweeps:latest"
    assert container["resources"]["limits"] == {"cpu": "8", "memory": "32Gi"}
    assert container["env"] == [{"name": "RAY_USAGE_STATS_ENABLED", "value": "0"}]
    assert pod["volumes"][0]["persistentVolumeClaim"] == {"claimName": "sweeps"}
    work, spec = container["volumeMounts"]
    assert ("readOnly" in work, spec["readOnly"]) == (False, True)


@pytest.mark.parametrize(("memory", "code"), [("1.5Gi", 0), ("64G", 0), ("100k", 0), ("32ki", 2)])
def test_memory_is_written_as_kubernetes_takes_it(memory, code):
    assert kubernetes("--cpus-per-node", "8", "--memory", memory) == code


def test_a_node_has_no_token_where_the_driver_has_none(tmp_path):
    (tmp_path / ".mark").touch()
    bare, other = NodeFacts(**FIT, token=""), NodeFacts(**FIT, token=token_fingerprint("a"))
    options = {"gpus": 0, "mark": tmp_path / ".mark"}
    assert list(complaints("n7", bare, expected=bare, **options)) == []
    for facts, expected in ((other, bare), (bare, other)):
        (said,) = complaints("n7", facts, expected=expected, **options)
        assert "n7 has a different Ray token than the driver" in said


@pytest.mark.parametrize("option", ["--partition", "--account"])
def test_neither_partition_nor_account_can_hold_a_further_option(capsys, option):
    assert slurm(option, "a\nb") == 2
    told = f"{option.removeprefix('--')} must be one line without quotes, backslashes and #"
    assert f"{told}, but got 'a\\nb'" in capsys.readouterr().err


def test_each_node_stages_the_dataset_on_the_disk_that_slurm_gives_it(capsys):
    assert slurm("--stage-data") == 0
    script = capsys.readouterr().out
    assert '\nexport TUNE_STAGE="${SLURM_TMPDIR:-${TMPDIR:-/tmp}}"\n' in script
    assert options(script)["open-mode"] == "append", "a job that goes on keeps its log"


def test_a_folder_of_a_start_that_was_killed_does_not_take_the_name():
    run = begin(parse_spec(SPEC))
    (run / LEDGER_FILE).unlink()
    assert slurm("--set", "fixed.epochs=3") == 0
