"""Who may import whom, that modules form no circle, and that analysis starts without torch or Ray.

`docs` and CONTRIBUTING.md show the same tables.
"""

import ast
import graphlib
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from tests.support.import_statements import import_statements
from tests.support.run_factory import Factory

ROOT = Path(__file__).parent.parent
OURS = {"fairsweep", "data_prep", "models", "tune", "analysis", "benchmarks"}
MAY_IMPORT_OF_OURS = {
    "fairsweep": set(),
    "data_prep": {"fairsweep"},
    "models": {"fairsweep", "data_prep"},
    "tune": {"fairsweep", "models", "data_prep"},
    "analysis": {"fairsweep", "tune.run", "data_prep.group_columns", "data_prep.rejections"},
    "benchmarks": OURS,
}
ROOMS_OF_TUNE = {
    "run": set(),
    "sweep": {"run"},
    "execution": {"run", "sweep"},
    "session": {"run", "sweep", "execution"},
    "launch": {"run", "sweep", "execution", "session"},
    "commands": {"run", "sweep", "execution", "session", "launch"},
}
"""Room of `tune` → the other rooms that it may import."""
SHARED_ROOMS_OF_ANALYSIS = {
    "statistics": set(),
    "run": {"statistics"},
    "drawing": set(),
    "rendering": {"drawing"},
}
"""Rooms of `analysis` that all topics share → the other rooms that they may import."""
NOT_FOR = {
    "ray": {"fairsweep", "data_prep", "models", "analysis"},
    "torch": {"fairsweep", "data_prep", "analysis"},
    "torchvision": {"fairsweep", "data_prep", "analysis"},
    "timm": {"fairsweep", "data_prep", "analysis", "tune"},
    "optuna": {"fairsweep", "data_prep", "models"},
    "optuna.samplers": {"fairsweep", "data_prep", "models", "analysis"},
}


EXCEPT = {"torchvision": {"data_prep/torchvision_sets.py"}}
"""Package → files that may import it in a function, because a user asks for it by name."""

MAY_ALSO = {"tune/__init__.py": {"analysis"}}
"""`tune.search` returns what `analysis.load` returns; only its function imports it."""
WITH_FUNCTIONS = ("analysis/__init__.py", "tune/__init__.py")
"""The packages that Python users import themselves; all others are empty."""


def files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Yield every module that a file imports anywhere, with the names taken from it."""
    for node in import_statements(path):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        else:
            assert node.level == 0, f"{path}: a relative import hides what it imports"
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def is_inside(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


@pytest.mark.parametrize("folder", sorted(OURS))
def test_a_folder_imports_only_what_the_house_plan_allows(folder):
    allowed = {folder} | MAY_IMPORT_OF_OURS[folder]
    for path in files(folder):
        also = MAY_ALSO.get(path.relative_to(ROOT).as_posix(), set())
        for module in imports(path):
            ours = module.split(".")[0] in OURS
            fine = any(is_inside(module, package) for package in allowed | also)
            assert fine or not ours, f"{path.relative_to(ROOT)} must not import {module}"


@pytest.mark.parametrize("package", sorted(NOT_FOR))
def test_a_heavy_package_stays_in_its_rooms(package):
    for folder in NOT_FOR[package]:
        for path in files(folder):
            if path.relative_to(ROOT).as_posix() in EXCEPT.get(package, ()):
                continue
            wrong = [module for module in imports(path) if is_inside(module, package)]
            assert not wrong, f"{path.relative_to(ROOT)} must not import {wrong}"


@cache
def graph() -> dict[str, set[str]]:
    """Return the modules of ours that each module of ours imports, type-only imports included."""
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for folder in OURS
        for path in files(folder)
    }
    return {
        name: {
            other
            for imported in imports(path)
            for other in (imported, imported.rpartition(".")[0])
            if other in modules
        }
        for name, path in modules.items()
    }


def room_of(module: str) -> str:
    """Return the room of ``tune.ROOM.…`` or ``analysis.ROOM.…``; empty for a loose file."""
    parts = module.split(".")
    return parts[1] if len(parts) > 2 else ""


def arrows_between_rooms(folder: str) -> set[tuple[str, str]]:
    return {
        (room_of(module), room_of(other))
        for module, others in graph().items()
        for other in others
        if is_inside(module, folder) and is_inside(other, folder)
    }


def test_modules_import_one_another_in_no_circle():
    graphlib.TopologicalSorter(graph()).prepare()


@pytest.mark.parametrize("folder", ["tune", "analysis"])
def test_rooms_import_one_another_in_no_circle(folder):
    rooms: dict[str, set[str]] = {}
    for room, other in arrows_between_rooms(folder):
        if room != other:
            rooms.setdefault(room, set()).add(other)
    graphlib.TopologicalSorter(rooms).prepare()


def test_each_room_of_tune_imports_only_the_rooms_below_it():
    for room, other in arrows_between_rooms("tune"):
        fine = not room or room == other or other in ROOMS_OF_TUNE[room]
        assert fine, f"tune/{room} must not import tune/{other}"


def test_no_topic_of_analysis_imports_the_report_and_no_shared_room_a_topic():
    for room, other in arrows_between_rooms("analysis"):
        if room in ("", "report") or room == other:
            continue
        assert other not in ("", "report"), f"analysis/{room} must not import analysis/{other}"
        if room in SHARED_ROOMS_OF_ANALYSIS:
            fine = other in SHARED_ROOMS_OF_ANALYSIS[room]
            assert fine, f"analysis/{room} must not import analysis/{other}"


def test_only_the_execution_room_imports_ray():
    for path in files("tune"):
        if path.parent.name != "execution":
            wrong = [module for module in imports(path) if is_inside(module, "ray")]
            assert not wrong, f"{path.relative_to(ROOT)} must not import {wrong}"


def test_a_run_directory_is_read_with_pyarrow_alone():
    allowed = {"fairsweep", "pyarrow", "tune", *sys.stdlib_module_names}
    for path in files("tune/run"):
        if path.name != "lease.py":  # Which only those who write to a run import.
            also = {"numpy"} if path.name == "ensemble.py" else set()  # It averages probabilities.
            assert {module.split(".")[0] for module in imports(path)} <= allowed | also, path.name


def test_no_test_module_imports_another():
    for path in files("tests"):
        wrong = [module for module in imports(path) if is_inside(module, "tests")]
        wrong = [module for module in wrong if module.split(".")[1].startswith("test_")]
        assert not wrong, f"{path.relative_to(ROOT)} must not import {wrong}"


def test_ray_tune_is_imported_by_its_full_name():
    for folder in [*OURS, "tests"]:
        for path in files(folder):
            assert "ray.tune" not in {
                f"{node.module}.{alias.name}"
                for node in import_statements(path)
                if isinstance(node, ast.ImportFrom)
                for alias in node.names
            }, f"{path.relative_to(ROOT)} must write `import ray.tune`"


def test_every_init_file_is_empty():
    for folder in OURS:
        for path in (ROOT / folder).rglob("__init__.py"):
            name = path.relative_to(ROOT).as_posix()
            assert name in WITH_FUNCTIONS or path.read_text("utf-8") == "", name


HEAVY = "sorted({'torch', 'ray', 'torchvision'} & set(sys.modules))"


def heavy_after(code: str, folder: Path) -> str:
    """Run ``code`` in a fresh interpreter and return which heavy packages it left loaded."""
    program = f"import sys; sys.path.insert(0, {str(ROOT)!r}); {code}; print({HEAVY})"
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, check=True
    )
    return done.stdout.splitlines()[-1]


def test_data_preparation_starts_without_torch_or_ray(tmp_path):
    light = "import data_prep.__main__; assert not {'pandas', 'sklearn'} & set(sys.modules)"
    assert heavy_after(light, tmp_path) == "[]"


def test_analysis_starts_without_torch_or_ray(tmp_path):
    light = "import analysis.__main__; assert not {'pandas', 'matplotlib'} & set(sys.modules)"
    assert heavy_after(light, tmp_path) == "[]"


def test_the_process_that_starts_a_ray_does_without_ray_tune(tmp_path):
    light = "import tune.execution.ray_server; assert 'ray.tune' not in sys.modules"
    assert heavy_after(light, tmp_path) == "['ray']"


def test_a_report_needs_neither_torch_nor_ray(tmp_path):
    run = Factory(configurations=1, replicates=1, faults=False, early_stopping=False).write(
        tmp_path / "run"
    )
    code = f"from analysis.__main__ import main; assert main(['report', {str(run)!r}]) == 0"
    assert heavy_after(code, tmp_path) == "[]"
