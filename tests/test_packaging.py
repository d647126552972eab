"""What `pip install` brings: all that the code imports and all its files, and no more."""

import ast
import os
import shutil
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.support.import_statements import import_statements
from tests.support.old_runs import IMAGES, unpack
from tests.support.repository import copy_repository

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
FOLDERS = {
    "fairsweep": (),
    "fairsweep/drawing": ("analysis",),
    "data_prep": (),
    "models": ("sweep", "export", "timm"),
    "tune": ("sweep", "export", "loggers", "mlflow", "wandb"),
    "analysis": ("analysis", "loggers"),
    "tests": ("dev", "sweep", "export", "loggers", "mlflow", "wandb", "analysis"),
}
"""The extras that each folder may import from."""


ON_REQUEST = {"data_prep/torchvision_sets.py": ("sweep",)}
"""File → extras that a user needs only for what this file does; its message says so."""


def declared(*extras):
    lines = PROJECT["dependencies"] + [
        line for extra in extras for line in PROJECT["optional-dependencies"][extra]
    ]
    return {canonicalize_name(Requirement(line).name) for line in lines}


def imported(folder):
    """Top-level modules that a folder imports anywhere, with a file that does."""
    found = {}
    inner = [ROOT / other for other in FOLDERS if other.startswith(f"{folder}/")]
    for path in sorted((ROOT / folder).rglob("*.py")):
        if any(path.is_relative_to(other) for other in inner):
            continue
        for node in import_statements(path):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            else:
                names = [node.module]
            found |= {name.split(".")[0]: path.relative_to(ROOT) for name in names}
    ours = {*FOLDERS, "benchmarks"}
    return {
        name: path for name, path in found.items() if name not in sys.stdlib_module_names | ours
    }


def test_what_is_imported_is_declared():
    distributions = packages_distributions()
    for folder, extras in FOLDERS.items():
        for module, path in imported(folder).items():
            allowed = declared(*extras, *ON_REQUEST.get(path.as_posix(), ()))
            brought_by = {canonicalize_name(name) for name in distributions[module]}
            assert brought_by & allowed, f"{path} imports {module} of {brought_by}: declare it"


def test_the_lock_names_everything_that_is_declared_in_a_version_that_is_allowed():
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    locked = [Requirement(line) for line in lines if line and not line.startswith("#")]
    versions = {canonicalize_name(one.name): next(iter(one.specifier)).version for one in locked}
    extras = PROJECT["optional-dependencies"]
    for extra in extras.keys() - {"cluster"}:
        for line in PROJECT["dependencies"] + extras[extra]:
            requirement = Requirement(line)
            name = canonicalize_name(requirement.name)
            assert name == "fairsweep" or requirement.specifier.contains(versions[name]), line


def call(*words, cwd, **environment):
    done = subprocess.run(
        [str(word) for word in words],
        cwd=cwd,
        env=os.environ | environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.mark.long
def test_analysis_installs_without_torch_or_ray_and_all_its_commands_work(tmp_path):
    source = copy_repository(tmp_path / "source")
    lock = (ROOT / "requirements.txt").read_text()
    # A constraints file may not name extras.
    constraints = tmp_path / "constraints.txt"
    constraints.write_text(lock.replace("[tune]", "").replace("[s3]", ""))
    call(sys.executable, "-m", "venv", tmp_path / "venv", cwd=tmp_path)
    python = tmp_path / "venv/bin/python"
    call(
        python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check",
        "--constraint", constraints, f"{source}[analysis]", cwd=tmp_path,
    )  # fmt: skip
    shutil.rmtree(source)
    installed = call(python, "-m", "pip", "list", "--format", "freeze", cwd=tmp_path)
    names = {line.split("==")[0].lower() for line in installed.splitlines()}
    assert "statsmodels" in names
    assert not {"torch", "torchvision", "ray"} & names
    runs = [unpack(name, tmp_path) for name in ("grid", "grid-retrain")]
    # The run's dataset was made before there was another search for duplicates.
    words = ("synthetic", "--images", IMAGES, "--duplicates", "v1", "--out", tmp_path / "faces")
    call(python, "-m", "data_prep", *words, cwd=tmp_path)
    analysis = (python, "-m", "analysis")
    assert "B3_N1" in call(*analysis, "table", runs[0], cwd=tmp_path)
    call(*analysis, "compare", *runs, cwd=tmp_path)
    data = ("--data", tmp_path / "faces")
    call(*analysis, "bias", runs[1], "--before", runs[0], *data, cwd=tmp_path)
    call(*analysis, "export", runs[0], cwd=tmp_path)
    call(*analysis, "report", runs[0], cwd=tmp_path)
    assert (runs[0] / "report/report.html").stat().st_size > 10_000
