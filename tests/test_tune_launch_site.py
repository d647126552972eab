"""What a site's Slurm asks for: options, setup and Python of the batch script, and its profile.

Tests `tune.launch.sbatch_options`, `site`, `slurm_request` and `slurm`.
"""

import os
import shlex
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.support.sweeps import SPEC
from tune.__main__ import main
from tune.launch.errors import LaunchError
from tune.launch.site import SiteProfile, read_site, sites_folder

ROOT = Path(__file__).parents[1]


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    """A folder with a spec in it as the current one, and as the user's configuration."""
    (tmp_path / "small.yaml").write_text(yaml.safe_dump(SPEC))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


@pytest.fixture
def script(capsys):
    """A function that makes the batch script for some options, and lets bash check it."""

    def make(*words, time=("--time", "4:00:00")):
        assert main(["launch", "slurm", "small.yaml", *time, *words]) == 0
        text = capsys.readouterr().out
        subprocess.run(["bash", "-n"], input=text, text=True, check=True)
        return text

    return make


@pytest.fixture
def refusal(capsys):
    """A function that returns the line by which some options are refused."""

    def refuse(*words, time=("--time", "4:00:00")):
        assert main(["launch", "slurm", "small.yaml", *time, *words]) == 2
        said = capsys.readouterr()
        assert (said.out, said.err.count("\n")) == ("", 1)
        return said.err

    return refuse


def asked(script):
    """The #SBATCH options of a script, as Slurm reads them: name → value."""
    lines = [line.split(maxsplit=1)[1] for line in script.splitlines() if "#SBATCH" in line]
    words = [word for line in lines for word in shlex.split(line)]
    assert len(words) == len(lines), "each line is one option"
    return dict(word.removeprefix("--").partition("=")[::2] for word in words)


def write_site(home, name="cedar", **values):
    file = home / "config/fairsweep/sites" / f"{name}.yaml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(yaml.safe_dump(values))
    return file


def test_named_and_other_options_of_sbatch_reach_the_script(script):
    words = ("--qos", "long", "--constraint", "[a100|v100]&ib", "--mem", "64G", "--account", "x.y")
    words += ("--gpus-per-node", "v100l:4", "--sbatch", "mail-type=END,FAIL", "--sbatch", "hold")
    found = asked(script(*words, "--sbatch", "comment=two words"))
    assert (
        found.items()
        >= {
            "qos": "long",
            "constraint": "[a100|v100]&ib",
            "mem": "64G",
            "account": "x.y",
            "gpus-per-node": "v100l:4",
            "mail-type": "END,FAIL",
            "hold": "",
            "comment": "two words",
        }.items()
    )


def test_the_environment_of_the_submitting_shell_is_left_behind_unless_asked_for(script):
    assert asked(script())["export"] == "NONE"
    assert asked(script("--sbatch", "export=AWS_PROFILE"))["export"] == "AWS_PROFILE"


def test_an_option_of_sbatch_may_be_written_as_sbatch_takes_it(script):
    found = asked(script("--sbatch=--mail-type=END", "--sbatch=--hold"))
    assert (found["mail-type"], found["hold"]) == ("END", "")


@pytest.mark.parametrize(
    ("words", "needs"),
    [
        ((), False),
        (("--gpus-per-node", "0"), False),
        (("--gres", "lustre:1"), False),
        (("--gpus-per-node", "v100l:4"), True),
        (("--gres", "gpu:v100l:4"), True),
        (("--sbatch", "gpus=8"), True),
    ],
)
def test_a_job_that_requests_gpus_in_any_way_must_have_them(script, words, needs):
    assert ("export TUNE_NEEDS_GPUS=1" in script(*words)) is needs


@pytest.mark.parametrize(
    ("words", "cause"),
    [
        (("--sbatch", "time=5"), "sbatch option time cannot be given; use --time"),
        (("--sbatch", "array=1-9"), "array cannot be given; a sweep is one job"),
        (("--sbatch", "no-requeue"), "no-requeue cannot be given; the script sets it itself"),
        (("--sbatch", "A=me"), "has a long name like mail-type, but got 'A'"),
        (("--sbatch", "qos=a", "--qos", "b"), "qos is given twice"),
        (("--sbatch", "hint=a", "--sbatch", "hint=b"), "--sbatch hint is given 2 times"),
        (("--sbatch", "comment=a\n#SBATCH --nodes=9"), "comment must be one line"),
        (("--constraint", 'a"b'), "constraint must be one line without quotes"),
        (("--constraint", "a #b"), "constraint must be one line without quotes"),
        (("--mem", "lots"), "mem must be written like 64G, but got 'lots'"),
        (("--qos", ""), "qos has no value"),
        (("--python", "apptainer 'exec"), "is not a command: No closing quotation"),
        (("--python", " "), "--python must be a command that runs Python, but is empty"),
        (("--setup", "if true"), "--setup 'if true' is not valid shell code: "),
        (("--setup", " "), "--setup ' ' is not valid shell code: it is empty"),
        (("--setup", "gone/env.sh"), "--setup gone/env.sh: this file does not exist"),
        (("--setup", "gone.sh"), "--setup gone.sh: this file does not exist"),
        (("--gpus-per-node", "v100l:4 a"), "--gpus-per-node must be a number or TYPE:NUMBER"),
        (("--site", "cedar"), "cedar.yaml does not exist; see docs/slurm.md"),
    ],
)
def test_a_value_that_slurm_would_not_read_as_it_stands_is_refused(refusal, words, cause):
    assert cause in refusal(*words)


def run_setup(script, home):
    """Run a script as Slurm would; ``srun`` and Python are not reached where the setup fails."""
    (home / "job.sh").write_text(script)
    environment = {"PATH": os.environ["PATH"], "HOME": str(home)}
    return subprocess.run(["bash", "job.sh"], capture_output=True, text=True, env=environment)


def test_the_setup_runs_before_python_and_python_is_the_given_command(script, home):
    (home / "my env.sh").write_text("greeting='hello world'\n")
    python = home / "my python"
    python.write_text('#!/bin/sh\necho "$greeting" "$TUNE_PYTHON" "$@"\n')
    python.chmod(0o755)
    words = ("--setup", "my env.sh", "--setup", "export greeting  # for others")
    done = run_setup(script(*words, "--python", f"'{python}' -s"), home)
    assert done.stdout == (
        f"hello world '{python}' -s -s -m tune launch allocation small.yaml\n"
    ), done.stderr


def test_a_setup_that_fails_is_told_as_it_was_written(script, home):
    done = run_setup(script("--setup", "cat < 'no such'; false", "--python", "true"), home)
    assert done.stderr.endswith("error: the setup failed: cat < 'no such'; false\n")


def test_a_setup_in_the_home_folder_is_found_wherever_the_job_starts(script, home, monkeypatch):
    (home / "my env.sh").write_text("echo from home\n")
    monkeypatch.setenv("HOME", str(home))
    text = script("--setup", "~/my env.sh", "--setup", "my env.sh", "--python", "true")
    assert text.count(f"source '{home}/my env.sh'") == 2
    assert run_setup(text, home).stdout == "from home\nfrom home\n"


def test_a_setup_that_fails_ends_the_job_with_its_command(script, home):
    done = run_setup(script("--setup", "cd nowhere", "--setup", "touch reached"), home)
    assert done.returncode == 1
    assert done.stderr.endswith("error: the setup failed: cd nowhere\n")
    assert not (home / "reached").exists()


SITE = {
    "time": "1-0", "gpus_per_node": "v100l:4", "cpus_per_node": 32, "account": "def-prof",
    "mem": "0", "sbatch": {"mail-type": "END"}, "setup": ["module load cuda"], "python": "py -s",
}  # fmt: skip


def test_a_site_profile_holds_settings_that_options_override(script, home):
    write_site(home, **SITE)
    plain = script("--site", "cedar", time=())
    found = asked(plain)
    assert [found[key] for key in ("time", "gpus-per-node", "cpus-per-task", "mem")] == [
        "1-0", "v100l:4", "32", "0",
    ]  # fmt: skip
    assert "{ module load cuda\n} ||" in plain
    assert "exec py -s -m tune launch allocation" in plain
    words = ("--account", "other", "--sbatch", "mail-type=FAIL", "--cpus-per-node", "4")
    changed = script("--site", "cedar", *words, "--setup", "module load gcc", time=("--time", "60"))
    found = asked(changed)
    assert [found[key] for key in ("account", "mail-type", "cpus-per-task", "time")] == [
        "other", "FAIL", "4", "60",
    ]  # fmt: skip
    assert changed.index("module load cuda") < changed.index("module load gcc")


def test_the_profile_of_the_documentation_is_read(script, home):
    text = (ROOT / "docs/slurm.md").read_text()
    (home / "site.yaml").write_text(text.split("```yaml\n")[1].split("```")[0])
    found = asked(script("--site", "site.yaml", time=()))
    assert (found["time"], found["mem"], found["gpus-per-node"]) == ("12:00:00", "0", "v100l:4")


def test_a_site_profile_can_lie_anywhere(script, home):
    write_site(home, **SITE).rename(home / "site.yaml")
    assert asked(script("--site", "./site.yaml", time=()))["account"] == "def-prof"


@pytest.mark.parametrize(
    ("values", "cause"),
    [
        ({"acount": "x"}, "acount is not a setting of a site, which are time, "),
        ({"cpus_per_node": "many"}, "cpus_per_node: input should be a valid integer"),
        ({"sbatch": {"hold": []}}, ": sbatch.hold: input should be a valid string, but got []"),
        ({"sbatch": {"nodes": "9"}}, "--site: sbatch option nodes cannot be given; use --nodes"),
        ({"qos": "a", "sbatch": {"qos": "b"}}, "--site: qos is given twice"),
        ({"account": "x"}, "--time is missing"),
    ],
)
def test_a_profile_that_breaks_a_rule_is_refused(refusal, home, values, cause):
    write_site(home, **values)
    assert cause in refusal("--site", "cedar", time=())


def test_an_unknown_site_is_answered_with_those_that_there_are(refusal, home):
    write_site(home, "narval")
    assert "sites has narval; see docs/slurm.md" in refusal("--site", "cedar")


def test_a_site_is_a_name_in_the_users_folder_or_the_path_of_a_file(home, monkeypatch):
    write_site(home, account="a1")
    assert read_site("cedar").account == "a1"
    assert read_site(None) == SiteProfile()
    for name in ("mine.yaml", "mine.yml", "in/mine"):
        (home / name).parent.mkdir(exist_ok=True)
        (home / name).write_text("account: b2\ncpus_per_node: 4\n")
        assert (read_site(name).account, read_site(name).cpus_per_node) == ("b2", 4)
    with pytest.raises(LaunchError, match=r"elm\.yaml does not exist; .* has cedar; see docs"):
        read_site("elm")
    assert sites_folder() == home / "config" / "fairsweep" / "sites"
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(home))
    assert sites_folder() == home / ".config" / "fairsweep" / "sites"
    monkeypatch.setenv("XDG_CONFIG_HOME", "")
    assert sites_folder() == home / ".config" / "fairsweep" / "sites"
