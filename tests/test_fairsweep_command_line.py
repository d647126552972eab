"""How a command ends: its exit code, and the line that says why."""

import errno
import io
import os
import re
import sys
import threading
from pathlib import Path

import pytest

from fairsweep import command_line
from fairsweep.command_line import end, end_at_once_after_command, run_command
from fairsweep.errors import MissingFileError, UserError, one_line


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


def test_a_full_disk_is_named_by_the_file_that_it_cut_short(capsys):
    error = OSError(errno.EDQUOT, "Disk quota exceeded", "run/events.jsonl")
    _, line = end_of(raises(error), capsys)
    assert line.startswith("error: run/events.jsonl: Disk quota exceeded; free some space")


@pytest.mark.parametrize(
    ("name", "extra"),
    [
        ("ray.tune", "sweep"), ("torch.nn", "sweep"), ("cmaes", "sweep"),
        ("pandas", "analysis"), ("matplotlib", "analysis"), ("tensorboard", "loggers"),
        ("mlflow", "mlflow"), ("wandb", "wandb"),
    ],
)  # fmt: skip
def test_a_missing_package_is_told_with_the_extra_that_brings_it(capsys, name, extra):
    code, line = end_of(raises(ModuleNotFoundError("No module", name=name)), capsys)
    assert code == 2
    assert f"needs {name}, which is not installed" in line
    assert f"pip install 'fairsweep[{extra}]'" in line


class Closed(io.StringIO):
    """The output of a command whose reader has gone, as of `| head`."""

    def __init__(self, descriptor):
        super().__init__()
        self.descriptor = descriptor

    def fileno(self):
        return self.descriptor

    def flush(self):
        raise BrokenPipeError


def test_a_reader_that_has_gone_is_no_error_and_nothing_more_is_written(tmp_path, monkeypatch):
    with (tmp_path / "out").open("wb", buffering=0) as stream:
        monkeypatch.setattr(sys, "stdout", Closed(stream.fileno()))
        assert run_command("tune", lambda: 2) == 0
        stream.write(b"more")
    assert (tmp_path / "out").read_bytes() == b""


def test_a_command_ends_at_once_only_where_it_is_asked_to(monkeypatch):
    ended = []
    monkeypatch.setattr(command_line, "_end_at_once", threading.Event())
    monkeypatch.setattr(os, "_exit", lambda code: ended.append(code) or sys.exit(99))
    with pytest.raises(SystemExit) as stop:
        end(3)
    assert (stop.value.code, ended) == (3, [])
    end_at_once_after_command()
    with pytest.raises(SystemExit):
        end(4)
    assert ended == [4]


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


def test_an_exception_is_told_on_one_line_or_by_its_type():
    assert one_line(ValueError("two\n  lines")) == "two lines"
    assert one_line(KeyboardInterrupt(" ")) == "KeyboardInterrupt"
