"""How the nodes of a job are asked whether they are fit; a shell script stands in for `srun`."""

import json
import sys

import pytest

from tests.support.allocations import JOB, Programs, job_of
from tune.launch import ask_nodes
from tune.launch.errors import LaunchError
from tune.launch.preflight import NodeFacts, look, token_fingerprint
from tune.run.directory import RUNS


@pytest.fixture
def program(tmp_path, monkeypatch):
    """A function that puts a shell script with a name of Slurm's first on the path."""
    return Programs(tmp_path, monkeypatch)


FACTS = NodeFacts(versions={"Python": "3.12.1"}, gpus=2, token="t", unwritable="")


def test_each_node_is_asked_and_its_answer_is_told_apart(program):
    program("srun", 'echo "1: late"; echo "0: first"; echo " 0: second"; echo "noise"; '
                    'echo "1: broke: no" >&2; echo "x: y"')  # fmt: skip
    assert ask_nodes._ask_each(job_of(), ["look"]) == [
        ("first\nsecond\n", ""), ("late\n", "broke: no\n"),
    ]  # fmt: skip
    assert program.asked()[0].endswith(
        f" --label --kill-on-bad-exit=0 {sys.executable} -m tune look"
    )


def test_nodes_that_do_not_answer_in_time_are_told_apart_from_those_that_do(program, monkeypatch):
    monkeypatch.setattr(ask_nodes, "_LOOK_SECONDS", 0.3)
    program("srun", 'echo "1: here"; exec sleep 5')
    assert ask_nodes._ask_each(job_of(), ["look"]) == [("", ""), ("here\n", "")]


@pytest.mark.parametrize(
    ("out", "errors", "said"),
    [
        (f"noise\n{FACTS.to_json()}\n", "a warning\n", []),
        ("", "Traceback\nImportError: no torch\n",
         ["n7 cannot run this program: ImportError: no torch"]),
        ("", "", ["n7 cannot run this program: no answer within 120 seconds"]),
        ("3\n", "", ["n7 cannot run this program: no answer within 120 seconds"]),
        ('{"gpus": 2}\n', "", ["n7 cannot run this program: no answer within 120 seconds"]),
    ],
)  # fmt: skip
def test_a_node_is_judged_by_the_last_line_of_its_answer(tmp_path, out, errors, said):
    mark = tmp_path / "mark"
    mark.touch()
    assert list(ask_nodes._judge(job_of(), "n7", (out, errors), FACTS, mark)) == said


def test_a_preflight_names_each_bad_node_and_leaves_no_marks(program, monkeypatch):
    RUNS.mkdir()
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    answer = look(RUNS / "mine", gpus=False).to_json()
    other = json.loads(answer)
    other["gpus"] = 1
    program(
        "srun",
        f"touch 'runs/.{JOB}-0'\necho '0: {answer}'\necho '1: {json.dumps(other)}'",
    )
    with pytest.raises(LaunchError) as refused:
        ask_nodes.check_nodes(job_of(gpus=1))
    told = str(refused.value).split("; ")
    assert told[0] == "torch sees 0 GPUs on n7, but 1 were requested"
    assert told[1].startswith("n3 does not share the folder ")
    assert [path.name for path in RUNS.iterdir()] == ["mine"]
    assert program.asked()[0].endswith(f"-m tune launch check --mark runs/.{JOB}- --gpus")
    program(
        "srun", f"touch 'runs/.{JOB}-0' 'runs/.{JOB}-1'; echo '0: {answer}'; echo '1: {answer}'"
    )
    ask_nodes.check_nodes(job_of(gpus=0))
    assert not program.asked()[1].endswith("--gpus")


def test_a_node_says_what_it_has(tmp_path, monkeypatch):
    monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
    facts = look(tmp_path / "mark", gpus=False)
    assert (tmp_path / "mark").exists()
    assert (facts.gpus, facts.unwritable) == (0, "")
    assert facts.token == token_fingerprint("secret") != token_fingerprint("other")
    assert "secret" not in facts.to_json()
    assert facts.versions["Python"] == ".".join(map(str, sys.version_info[:3]))
    assert set(facts.versions) == {"Python", "ray", "torch"}
    monkeypatch.delenv("RAY_AUTH_TOKEN")
    monkeypatch.setattr("torch.cuda.device_count", lambda: 3)
    facts = look(tmp_path / "nowhere" / "mark", gpus=True)
    assert (facts.token, facts.gpus, facts.unwritable) == ("", 3, "No such file or directory")
