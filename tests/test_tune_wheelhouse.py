"""What `make wheelhouse` asks pip for, and that it is all that the other Python needs."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
PYTHONS = ("3.11", "3.12")


def needed(python):
    """Names of all packages that requirements.txt brings in under a Python, as installed here."""
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    waiting = [Requirement(line) for line in lines if line and not line.startswith("#")]
    environment = {"python_version": python, "python_full_version": f"{python}.0"}
    seen = set()
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        for extra in ("", *requirement.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            waiting += [
                one
                for one in map(Requirement, requires(name))
                if one.marker is None or one.marker.evaluate(environment | {"extra": extra})
            ]
    return {name for name, _ in seen}


def requires(name):
    try:
        return importlib.metadata.requires(name) or ()
    except importlib.metadata.PackageNotFoundError:
        return ()


def test_a_wheelhouse_made_under_one_python_is_whole_under_the_other():
    # pip reads conditions such as `python_version < "3.12"` for the Python that it runs under,
    # whatever --python-version says.
    one, other = map(needed, PYTHONS)
    assert one == other
    assert {"torch", "ray", "numpy", "tensorboardx"} <= one


@pytest.mark.parametrize("given", [*PYTHONS, None])
def test_make_asks_for_wheels_of_the_python_named_or_of_the_one_that_runs(given):
    words = ["make", "--dry-run", "wheelhouse", f"PYTHON={given or sys.executable}"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    running = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert f"--python-version {given or running} " in done.stdout
    assert "--platform manylinux_2_28_x86_64" in done.stdout
    assert "-d wheelhouse -r requirements.txt" in done.stdout


def test_a_version_names_the_interpreter_of_the_environment():
    words = ["make", "--dry-run", "--always-make", "check", "PYTHON=3.12"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert "\npython3.12 -m venv .venv\n" in f"\n{done.stdout}"
