"""What a rule makes of a value: its one proper type, or a refusal."""

import hashlib
import os

import numpy as np
import pytest

from models.rules import (
    Choice,
    Flag,
    Number,
    Whole,
    Word,
    WordOrFile,
    content_hash,
    nearest,
    pinned_hash,
)


def test_a_number_becomes_one_of_python_s_own():
    whole, number = Whole(1, 9).check("n", np.int64(4)), Number(0, 9).check("x", np.float32(0.5))
    assert (type(whole), whole) == (int, 4)
    assert (type(number), number) == (float, 0.5)
    assert type(Number(0, 9).check("x", 4)) is float


@pytest.mark.parametrize("value", [True, float("inf"), float("-inf"), "0.5", None, [1]])
def test_what_is_no_finite_number_is_refused(value):
    with pytest.raises(ValueError, match="x must be a number of at least 0 and at most 1, but got"):
        Number(0, 1).check("x", value)


def test_a_word_stands_beside_whole_numbers_where_it_is_listed():
    assert Whole(1, 9, words=("flat", "half")).check("n", "half") == "half"
    with pytest.raises(ValueError, match="from 1 to 9 or 'flat' or 'half', but got 'Half'"):
        Whole(1, 9, words=("flat", "half")).check("n", "Half")


def test_only_text_gets_the_hint_on_yaml():
    with pytest.raises(ValueError, match="YAML reads 1e-3 as text"):
        Number(0, 1).check("x", "1e-3")
    with pytest.raises(ValueError, match=r"but got 2$"):
        Number(0, 1).check("x", 2)


def test_a_choice_of_another_type_is_refused():
    with pytest.raises(ValueError, match="x must be one of none, flip, but got 1; the nearest is"):
        Choice(("none", "flip")).check("x", 1)


@pytest.mark.parametrize("value", [0, 1, "true", None])
def test_a_flag_is_true_or_false_and_nothing_like_it(value):
    with pytest.raises(ValueError, match=f"x must be true or false, but got {value!r}"):
        Flag().check("x", value)


@pytest.mark.parametrize("value", ["Resnet", "18net", "res-net", "res net", "", "resnet18\n", 18])
def test_a_name_is_small_letters_digits_and_underscores(value):
    with pytest.raises(ValueError, match="x must be a name, but got"):
        Word("a name").check("x", value)
    assert Word("a name").check("x", "res_net18") == "res_net18"


def test_a_file_is_pinned_by_its_absolute_path_and_content(tmp_path, monkeypatch):
    path = tmp_path / "my weights#2.pth"
    path.write_bytes(b"weights")
    # Frozen: ids of trials hold it.
    digest = hashlib.blake2b(b"weights", digest_size=8).hexdigest()
    rule = WordOrFile(("none", "imagenet"))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for given in (str(path), "my weights#2.pth", "~/my weights#2.pth"):
        assert rule.check("x", given) == f"{path}#{digest}"
    assert pinned_hash(f"{path}#{digest}") == digest
    assert pinned_hash(str(path)) is None
    assert rule.check("x", "imagenet") == "imagenet"
    for no_file in (str(tmp_path), "imagenett", 4):
        with pytest.raises(ValueError, match="x must be none, imagenet or the path of a file"):
            rule.check("x", no_file)


def test_a_pinned_file_need_not_be_there():
    pinned = "/gone away/weights.pth#0123456789abcdef"
    assert WordOrFile(("none",)).check("x", pinned) == pinned


@pytest.mark.parametrize("end", ["#0123456789abcde", "#0123456789ABCDEF", "#0123456789abcdef0", ""])
def test_another_end_of_a_name_is_no_hash(end):
    assert pinned_hash(f"weights.pth{end}") is None


def test_a_file_that_has_changed_has_another_hash(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"old")
    before = content_hash(path)
    path.write_bytes(b"longer")
    longer = content_hash(path)
    # Of equal length, so that only the time tells.
    path.write_bytes(b"LONGER")
    os.utime(path, (1, 1))
    assert len({before, longer, content_hash(path)}) == 3
    assert content_hash(path) == hashlib.blake2b(b"LONGER", digest_size=8).hexdigest()


def test_the_nearest_is_told_however_far_it_is():
    assert nearest("xyz", ("adam", "sgd")) in ("adam", "sgd")
    assert nearest("kernal", iter(["blocks", "kernel_size", "channels"])) == "kernel_size"
