"""Who may import whom (the house plan's table), and that analysis starts without torch or Ray."""

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.run_factory import Factory

ROOT = Path(__file__).parent.parent
OURS = {"fairsweep", "data_prep", "models", "tune", "analysis", "benchmarks"}
MAY_IMPORT_OF_OURS = {
    "fairsweep": set(),
    "data_prep": {"fairsweep"},
    "models": {"fairsweep", "data_prep"},
    "tune": {"fairsweep", "models", "data_prep"},
    "analysis": {"fairsweep", "tune.schema"},
    "benchmarks": OURS,
}
NOT_FOR = {
    "ray": {"fairsweep", "data_prep", "models", "analysis"},
    "torch": {"fairsweep", "data_prep", "analysis"},
    "torchvision": {"fairsweep", "data_prep", "analysis"},
    "optuna": {"fairsweep", "data_prep", "models"},
    "optuna.samplers": {"fairsweep", "data_prep", "models", "analysis"},
}


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Yield every module that a file imports anywhere, with the names taken from it."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import hides what it imports"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_inside(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


@pytest.mark.parametrize("folder", sorted(OURS))
def test_a_folder_imports_only_what_the_house_plan_allows(folder):
    allowed = {folder} | MAY_IMPORT_OF_OURS[folder]
    for path in files(folder):
        for module in imports(path):
            ours = module.split(".")[0] in OURS
            fine = any(is_inside(module, package) for package in allowed)
            assert fine or not ours, f"{path.relative_to(ROOT)} must not import {module}"


@pytest.mark.parametrize("package", sorted(NOT_FOR))
def test_a_heavy_package_stays_in_its_rooms(package):
    for folder in NOT_FOR[package]:
        for path in files(folder):
            wrong = [module for module in imports(path) if is_inside(module, package)]
            assert not wrong, f"{path.relative_to(ROOT)} must not import {wrong}"


def test_the_schema_needs_only_pyarrow():
    allowed = {"fairsweep", "pyarrow", *sys.stdlib_module_names}
    assert {module.split(".")[0] for module in imports(ROOT / "tune" / "schema.py")} <= allowed


def test_ray_tune_is_imported_by_its_full_name():
    for folder in [*OURS, "tests"]:
        for path in files(folder):
            assert "ray.tune" not in {
                f"{node.module}.{alias.name}"
                for node in ast.walk(ast.parse(path.read_text("utf-8")))
                if isinstance(node, ast.ImportFrom)
                for alias in node.names
            }, f"{path.relative_to(ROOT)} must write `import ray.tune`"


def test_every_init_file_is_empty():
    for folder in OURS:
        for path in (ROOT / folder).rglob("__init__.py"):
            assert path.read_text("utf-8") == "", path.relative_to(ROOT)


HEAVY = "sorted({'torch', 'ray', 'torchvision'} & set(sys.modules))"


def heavy_after(code: str, folder: Path) -> str:
    """Run ``code`` in a fresh interpreter and return which heavy packages it left loaded."""
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}; print({HEAVY})"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1]


def test_analysis_starts_without_torch_or_ray(tmp_path):
    assert heavy_after("import analysis.__main__", tmp_path) == "[]"
    light = "import analysis.__main__; assert not {'pandas', 'matplotlib'} & set(sys.modules)"
    assert heavy_after(light, tmp_path) == "[]"


@pytest.mark.parametrize("command", ["table", "report"])
def test_analysis_works_without_torch_or_ray(tmp_path, command):
    run = Factory(configurations=1, replicates=1, faults=False, early_stopping=False).write(
        tmp_path / "run"
    )
    code = f"from analysis.__main__ import main; assert main([{command!r}, {str(run)!r}]) == 0"
    assert heavy_after(code, tmp_path) == "[]"
