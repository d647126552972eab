"""How a command ends: its exit code, and the line that says why."""

import errno
import re
from pathlib import Path

import pytest

from fairsweep.command_line import run_command
from fairsweep.errors import MissingFileError, UserError


def end_of(command, capsys):
    code = run_command("tune", command)
    output = capsys.readouterr()
    assert output.out == ""
    return code, output.err


def raises(error):
    def command():
        raise error

    return command


def test_a_command_s_own_exit_code_is_kept(capsys):
    assert end_of(lambda: 3, capsys) == (3, "")


class NothingFoundError(UserError):
    exit_code = 3


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (UserError("epochs must be at least 1,\nbut got 0"), 2),
        (MissingFileError("epochs must be at least 1, but got 0"), 2),
        (NothingFoundError("epochs must be at least 1, but got 0"), 3),
    ],
)
def test_what_the_user_can_mend_is_one_line(capsys, error, code):
    line = "error: epochs must be at least 1, but got 0\n"
    assert end_of(raises(error), capsys) == (code, line)


def test_a_file_that_the_system_refuses_is_named(capsys, tmp_path):
    code, line = end_of(lambda: (tmp_path / "no such file").read_text(), capsys)
    expected = f"error: {tmp_path}/no such file: No such file or directory; check the path\n"
    assert (code, line) == (2, expected)


def test_a_full_disk_is_the_user_s_to_mend_though_it_names_no_file(capsys):
    code, line = end_of(raises(OSError(errno.ENOSPC, "No space left on device")), capsys)
    assert code == 2
    assert line.startswith("error: No space left on device; free some space")


def test_a_missing_package_is_told_with_the_extra_that_brings_it(capsys):
    code, line = end_of(raises(ModuleNotFoundError("No module", name="ray.tune")), capsys)
    assert code == 2
    assert "pip install 'fairsweep[sweep]'" in line


@pytest.mark.parametrize(
    "fault",
    [
        lambda: list(zip([1], [], strict=True)),
        lambda: int("x"),
        lambda: {}["x"],
        raises(OSError(errno.EIO, "it names no file")),
        raises(ModuleNotFoundError("No module named 'ours'", name="ours")),
    ],
)
def test_every_other_exception_is_our_fault_with_the_traceback_in_a_file(capsys, fault):
    code, line = end_of(fault, capsys)
    assert code == 1
    file = Path(re.fullmatch(r"error: a fault of this program; .* in (\S+)\n", line)[1])
    assert file.name.startswith("tune-fault-")
    assert "Traceback (most recent call last)" in file.read_text()
    file.unlink()


def test_ctrl_c_ends_with_130(capsys):
    assert end_of(raises(KeyboardInterrupt()), capsys)[0] == 130
