"""What a run says of its own code that has changed in the current folder."""

from pathlib import Path

import pytest

from fairsweep.own_code.files import find_code
from fairsweep.own_code.reference import Reference
from tune.session.code import changes

RUN = Path("runs/a b")


@pytest.fixture
def code(tmp_path, monkeypatch):
    """Own code of three modules in the current folder, as a run has copied it."""
    (tmp_path / "train.py").write_text("import losses, nets\ndef train(): yield {}\n")
    (tmp_path / "losses.py").write_text("scale = 1\n")
    (tmp_path / "nets.py").write_text("width = 1\n")
    monkeypatch.chdir(tmp_path)
    return find_code(Reference.parse("train:train"), [tmp_path])


def told(code):
    return list(changes(RUN, [code]))


def test_code_that_is_as_it_was_or_gone_is_not_mentioned(code, tmp_path):
    assert told(code) == []
    (tmp_path / "unrelated.py").write_text("")
    assert told(code) == []
    (tmp_path / "train.py").unlink()
    assert told(code) == []


def test_each_file_that_changed_came_or_went_is_named_in_order(code, tmp_path):
    (tmp_path / "nets.py").write_text("width = 2\n")
    (tmp_path / "extra.py").write_text("")
    (tmp_path / "train.py").write_text("import extra, nets\ndef train(): yield {}\n")
    (line,) = told(code)
    names = "extra.py, losses.py, nets.py, train.py"
    assert line.startswith(f"train:train has changed since the run began ({names}); changed code")
    assert line.endswith("this run goes on with its own copy (runs/a b/code)")


def test_code_that_is_being_edited_is_told_with_the_reason(code, tmp_path):
    (tmp_path / "nets.py").write_text("width =\n")
    (line,) = told(code)
    assert line.startswith("train:train has changed since the run began (")
    assert "nets.py" in line
    assert line.endswith("this run goes on with its own copy")
