"""The pieces that are carried to a machine without a network."""

import subprocess
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement

from benchmarks.gpu_bundle import INSTALL, needed, pack, read_freeze, run, strip
from fairsweep.errors import UserError


def test_pieces_are_small_and_the_printed_command_puts_them_together(tmp_path):
    wheels, data, out = (tmp_path / name for name in ("made", "faces", "out"))
    for folder in (wheels, data, out):
        folder.mkdir()
    (wheels / "a.whl").write_bytes(bytes(range(256)) * 400)
    (data / "manifest.json").write_text("{}")
    pieces = pack({"wheels": wheels, "data": data}, out, piece_bytes=30_000)
    assert len(pieces) > 3
    assert max(piece.stat().st_size for piece in pieces) <= 30_000
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=out, check=True)
    unpack = INSTALL.partition(" && ")[0]
    subprocess.run(unpack, shell=True, cwd=out, check=True)
    assert (out / "wheels" / "a.whl").read_bytes() == (wheels / "a.whl").read_bytes()
    assert (out / "data" / "manifest.json").read_text() == "{}"


def test_a_folder_is_taken_out_of_a_wheel_and_of_its_list_of_files(tmp_path):
    wheel = tmp_path / "ray-1-py3-none-any.whl"
    with ZipFile(wheel, "w") as file:
        file.writestr("ray/jars/large.jar", "x" * 1000)
        file.writestr("ray/__init__.py", "")
        file.writestr("ray-1.dist-info/RECORD", "ray/jars/large.jar,,\nray/__init__.py,,\n")
    strip(wheel, "ray/jars/")
    with ZipFile(wheel) as file:
        assert file.namelist() == ["ray/__init__.py", "ray-1.dist-info/RECORD"]
        assert file.read("ray-1.dist-info/RECORD") == b"ray/__init__.py,,\n"


def test_packages_that_sweeps_need_are_packed_unless_they_are_there_in_a_fitting_version():
    everything = needed({})
    assert {"ray", "optuna", "pyarrow", "click", "sqlalchemy"} <= everything.keys()
    assert not {"torch", "torchvision", "fairsweep", "pytest"} & everything.keys()
    assert not any(name.startswith("nvidia") for name in everything)
    assert all(Requirement(f"{name}=={version}") for name, version in everything.items())
    there = read_freeze("# comment\nNumPy==2.5.2\noptuna==4.1.0\nray @ file:///x\n")
    left = needed(there)
    assert everything.keys() - left.keys() == {"numpy"}, "optuna 4 is too old"


def test_pieces_of_two_calls_are_not_mixed(tmp_path):
    (tmp_path / "bundle.00").touch()
    with pytest.raises(UserError, match="is not empty; give another folder"):
        next(run(tmp_path))
