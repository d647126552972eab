"""Own code: found without an import, hashed, imported from the hashed files, copied, trusted."""

import shutil
import sys
from pathlib import Path

import numpy as np
import pytest

from fairsweep.errors import MissingFileError, UserError
from fairsweep.own_code.copies import read_copy, write_copy
from fairsweep.own_code.failures import OwnCodeError, failures_explained, place_of, trace
from fairsweep.own_code.files import OwnCode, find_code
from fairsweep.own_code.loading import load
from fairsweep.own_code.provided import provide_copies, provided
from fairsweep.own_code.reference import Reference, is_own, is_timm
from fairsweep.own_code.signature import Signature, read_signature
from fairsweep.own_code.trust import check_trusted, present, record, trust

FILES = {
    "owner/__init__.py": "",
    "owner/nets.py": "import json\nfrom . import layers\nfrom owner.parts import deep\n"
    "def net(depth: int = 3):\n    import lazy_helper\n    return layers.WIDTH * depth\n",
    "owner/layers.py": "WIDTH = 4\n",
    "owner/parts/deep.py": "import numpy\n",
    "owner/unused.py": "raise RuntimeError\n",
    "lazy_helper.py": "",
    "unrelated.py": "",
}
USED = ["lazy_helper.py", "owner/__init__.py", "owner/layers.py", "owner/nets.py"]


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))


def write(folder: Path, files: dict[str, str] = FILES) -> Path:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return folder


def find(folder: Path, text: str = "owner.nets:net") -> OwnCode:
    return find_code(Reference.parse(text), [folder])


@pytest.mark.parametrize("text", ["mynets:MyNet", "a.b_2.c:d"])
def test_a_reference_is_a_module_a_colon_and_a_name(text):
    assert is_own(text)
    assert str(Reference.parse(text)) == text


@pytest.mark.parametrize("text", ["a.b", "a:", ":b", "a.b:c.d", "a/b.py:c", "a b:c", "a..b:c"])
def test_other_references_are_refused(text):
    with pytest.raises(UserError, match=r"named package\.module:name"):
        Reference.parse(text)


def test_names_with_a_colon_are_no_families_of_ours_and_some_are_of_timm():
    assert not is_own("resnet")
    assert not is_own(3)
    assert is_own("mine:Net")
    assert is_own("timm:resnet18")
    assert is_timm("timm:resnet18")
    assert not is_timm("timm.nets:resnet18")


def test_code_in_a_package_of_our_name_is_refused():
    with pytest.raises(UserError, match="another name"):
        Reference.parse("models.mine:Net")


def test_the_files_are_those_that_are_imported_of_the_users_own(tmp_path):
    code = find(write(tmp_path))
    assert [*code.files] == [*USED, "owner/parts/deep.py"]
    assert "owner.nets" not in sys.modules


def test_the_hash_depends_on_the_content_of_used_files_alone(tmp_path):
    here, there = write(tmp_path / "here"), write(tmp_path / "elsewhere" / "there")
    assert find(here).hash == find(there).hash
    (there / "unrelated.py").write_text("1")
    (there / "owner" / "unused.py").write_text("1")
    (there / "owner" / "__pycache__").mkdir()
    assert find(here).hash == find(there).hash
    (there / "owner" / "layers.py").write_text("WIDTH = 5\n")
    assert find(here).hash != find(there).hash


def test_the_hash_is_that_of_earlier_releases(tmp_path):
    """Frozen: taken from the program once. The ids of trials depend on it."""
    assert find(write(tmp_path)).hash == "879de1e54b4b6abed1b6ca4e1ea14dc3"


PACKAGE = {
    "pack/__init__.py": "from . import first\nfrom .sub import second\n",
    "pack/first.py": "",
    "pack/sub/__init__.py": "from .. import third\n",
    "pack/sub/second.py": "from ..deep.fourth import x\nfrom ... import beyond\n",
    "pack/third.py": "import pack.fifth.inner as inner, sixth\n",
    "pack/deep/fourth.py": "x = 1\n",
    "pack/fifth.py": "hidden by the package",
    "pack/fifth/__init__.py": "",
    "pack/fifth/inner.py": "try:\n    from seventh import y\nexcept ImportError:\n    y = 0\n",
    "sixth.py": "",
    "seventh.py": "from models import config\nimport string\n",
    "string.py": "of Python",
    "models.py": "of ours",
    "pack/beyond.py": "",
    "pack/sub/first.py": "",
}


def test_relative_imports_start_at_the_package_and_packages_go_before_modules(tmp_path):
    code = find(write(tmp_path, PACKAGE), "pack:x")
    unused = {"pack/fifth.py", "string.py", "models.py", "pack/beyond.py", "pack/sub/first.py"}
    assert [*code.files] == sorted(set(PACKAGE) - unused)
    assert not code.installed


def test_the_hash_tells_apart_where_a_file_ends(tmp_path):
    texts = {"a.py": "import b\n", "b.py": "b.py"}
    moved = {"a.py": "import b\nb.py", "b.py": ""}
    first, second = write(tmp_path / "1", texts), write(tmp_path / "2", moved)
    assert find(first, "a:x").hash != find(second, "a:x").hash


def test_the_first_folder_that_has_the_module_counts(tmp_path):
    first, second = write(tmp_path / "1", {"other.py": ""}), write(tmp_path / "2")
    code = find_code(Reference.parse("owner.nets:net"), [first, second])
    assert code.root == second


def test_installed_code_is_found_with_the_modules_of_its_package_alone():
    code = find_code(Reference.parse("cmaes:CMA"), [])
    assert code.installed
    assert "cmaes/__init__.py" in code.files
    assert all(name.startswith("cmaes/") for name in code.files)


@pytest.mark.parametrize("packages", ["site-packages", "dist-packages"])
def test_modules_beside_an_installed_package_are_not_own_code(tmp_path, packages):
    code = find(write(tmp_path / packages))
    assert code.installed
    assert [*code.files] == [*USED[1:], "owner/parts/deep.py"]


def test_an_installed_package_without_an_init_file_is_found(tmp_path, monkeypatch):
    packages = write(tmp_path / "site-packages", {"spaced/inner.py": "def net(): return 5\n"})
    monkeypatch.syspath_prepend(packages)
    code = find(tmp_path, "spaced.inner:net")
    assert (code.root, [*code.files]) == (packages, ["spaced/inner.py"])
    assert load(code)() == 5


def test_a_missing_module_is_told_with_the_places(tmp_path):
    with pytest.raises(MissingFileError, match=f"no module owner.net in {tmp_path}"):
        find(write(tmp_path), "owner.net:net")
    with pytest.raises(MissingFileError, match=r"no module cmaes\.net in .* installed packages"):
        find(tmp_path, "cmaes.net:net")


def test_pythons_own_modules_are_refused(tmp_path):
    with pytest.raises(UserError, match="shutil is part of Python"):
        find(tmp_path, "shutil:rmtree")


def test_a_syntax_error_is_told_with_its_line(tmp_path):
    with pytest.raises(UserError, match=r"^a\.py, line 2: SyntaxError"):
        find(write(tmp_path, {"a.py": "\nx = (\n"}), "a:x")


def test_code_is_imported_from_the_files_that_were_hashed(tmp_path):
    code = find(write(tmp_path))
    (tmp_path / "owner" / "layers.py").write_text("WIDTH = 100\n")
    assert load(code)() == 12
    assert str(tmp_path) not in sys.path
    assert not list(tmp_path.rglob("__pycache__"))


def test_a_changed_version_is_imported_again_with_all_that_uses_it(tmp_path):
    assert load(find(write(tmp_path)))() == 12
    (tmp_path / "owner" / "layers.py").write_text("WIDTH = 5\n")
    changed = find(tmp_path)
    assert load(changed)() == 15
    assert load(changed) is load(changed)


def test_two_references_into_one_package_are_imported_together(tmp_path):
    write(tmp_path, FILES | {"owner/more.py": "def more(): return 1\n"})
    first, second = find(tmp_path), find(tmp_path, "owner.more:more")
    net = load(first)
    assert load(second)() == 1
    assert load(first) is net


def test_a_missing_name_is_told_with_the_nearest(tmp_path):
    with pytest.raises(UserError, match=r"owner\.nets has no 'nett'; the nearest is 'net'"):
        load(find(write(tmp_path), "owner.nets:nett"))


def test_the_nearest_name_is_that_of_a_class_or_function(tmp_path):
    code = find(write(tmp_path, {"near.py": "nets = 1\ndef network(): pass\n"}), "near:net")
    with pytest.raises(UserError, match=r"near has no 'net'; the nearest is 'network'"):
        load(code)


def test_a_package_is_imported_with_its_init_file(tmp_path):
    files = {
        "whole/__init__.py": "SIZE = 3\n",
        "whole/net.py": "import whole\nnet = lambda: whole.SIZE\n",
    }
    assert load(find(write(tmp_path, files), "whole.net:net"))() == 3


def test_own_code_that_exits_while_it_is_imported_is_told(tmp_path):
    code = find(write(tmp_path, {"leaves.py": "import sys\nsys.exit(3)\n"}), "leaves:net")
    with pytest.raises(
        OwnCodeError, match=r"imported: leaves\.py, line 2, in <module>: SystemExit: 3"
    ):
        load(code)


def test_an_interrupt_in_own_code_stays_one(tmp_path):
    text = "def net(): raise KeyboardInterrupt\n"
    net = load(find(write(tmp_path, {"stopped.py": text}), "stopped:net"))
    with pytest.raises(KeyboardInterrupt), failures_explained("the network"):
        net()


def test_an_exception_while_importing_is_told_with_file_and_line(tmp_path):
    write(tmp_path, FILES | {"owner/layers.py": "x = 1\nx.y\n"})
    words = r"cannot be imported: owner/layers\.py, line 2, in <module>: AttributeError: 'int'"
    with pytest.raises(OwnCodeError, match=words):
        load(find(tmp_path))


def test_an_exception_in_a_call_is_told_with_the_last_line_of_own_code(tmp_path):
    text = "import json\ndef inner(x):\n    json.loads(x)\ndef outer():\n    inner('{')\n"
    outer = load(find(write(tmp_path, {"fails.py": text}), "fails:outer"))
    words = r"^the network: fails\.py, line 3, in inner: JSONDecodeError: Expecting"
    with pytest.raises(OwnCodeError, match=words) as caught, failures_explained("the network"):
        outer()
    lines = trace(caught.value.__cause__).splitlines()
    assert [line.strip() for line in lines[1:]] == [
        "fails.py, line 3, in inner",
        "json.loads(x)",
        "fails.py, line 5, in outer",
        "inner('{')",
    ]


def test_an_exception_in_an_installed_package_is_told_with_its_line_too(tmp_path, monkeypatch):
    packages = write(
        tmp_path / "site-packages", {"installed_fails.py": "def outer():\n    {}[1]\n"}
    )
    monkeypatch.syspath_prepend(packages)
    outer = load(find(tmp_path, "installed_fails:outer"))
    words = r"^it: installed_fails\.py, line 2, in outer: KeyError: 1"
    with pytest.raises(OwnCodeError, match=words), failures_explained("it"):
        outer()


def test_an_exception_outside_own_code_passes():
    with pytest.raises(KeyError), failures_explained("the network"):
        raise KeyError


def test_own_code_has_a_place_and_what_has_no_source_is_told_by_its_name(tmp_path):
    assert place_of(load(find(write(tmp_path)))) == "owner/nets.py, line 4"
    assert place_of(len) == "len"


SIGNATURE = """
from __future__ import annotations
from typing import Literal, Optional
class Net:
    def __init__(self, classes: int, image_shape, width: int, rate: float = 1, deep: bool = False,
                 mode: Literal["a", "b"] = "a", cut: Optional[int] = None, end: float | None = None,
                 size=3, layer: type = dict):
        pass
"""
OFFERED = ("classes", "image_shape", "image_channels")


def signature(folder: Path, text: str) -> Signature:
    code = find(write(folder, {"sig.py": text}), "sig:Net")
    return read_signature("sig:Net", load(code), OFFERED)


def test_keyword_arguments_are_hyperparameters_with_types_and_defaults(tmp_path):
    found = signature(tmp_path, SIGNATURE)
    assert found.given == ("classes", "image_shape")
    assert found.others == ("layer",)
    kinds = {name: known.kind for name, known in found.hyperparameters.items()}
    assert kinds == {
        "width": "int",
        "rate": "float",
        "deep": "bool",
        "mode": "str",
        "cut": "int",
        "end": "float",
        "size": "int",
    }
    defaults = {"rate": 1.0, "deep": False, "mode": "a", "size": 3}
    complete = found.complete("sig:Net", {"width": 2})
    assert complete == {"width": 2, **defaults}
    assert type(complete["rate"]) is float
    zeros = {"width": 0, "rate": 0.0, "size": 0}
    assert found.complete("sig:Net", zeros) == {**defaults, **zeros}
    assert Signature.from_dict(found.to_dict()) == found


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({}, "needs a value of width"),
        ({"width": 2.0}, r"width must be a whole number, but got 2\.0"),
        ({"width": True}, "width must be a whole number, but got True"),
        ({"width": 2, "rate": "1e-3"}, r"rate must be a number, .* write 1\.0e-3"),
        ({"width": 2, "rate": float("nan")}, "rate must be a number, but got nan"),
        ({"width": 2, "rate": float("inf")}, "rate must be a number, but got inf"),
        ({"width": 2, "rate": float("-inf")}, "rate must be a number, but got -inf"),
        ({"width": 2, "mode": True}, "mode must be one of a, b, but got True"),
        ({"width": 2, "deep": 1}, "deep must be true or false, but got 1"),
        ({"width": 2, "mode": "bb"}, "mode must be one of a, b, but got 'bb'; the nearest is 'b'"),
        ({"width": 2, "sizes": 1}, "'sizes' is not a hyperparameter of sig:Net; .* 'size'"),
        ({"width": 2, "size": None}, "size must not be null; leave it out for 3"),
        ({"width": 2, "layer": "x"}, "layer of sig:Net cannot be set in a spec"),
    ],
)
def test_values_are_checked(tmp_path, values, words):
    with pytest.raises(UserError, match=words):
        signature(tmp_path, SIGNATURE).complete("sig:Net", values)


def test_numbers_of_numpy_become_numbers_of_python(tmp_path):
    found = signature(tmp_path, SIGNATURE)
    values = {"width": np.int64(2), "rate": np.float32(0.5), "size": np.int8(4)}
    complete = found.complete("sig:Net", values)
    assert {name: type(complete[name]) for name in values} == {
        "width": int, "rate": float, "size": int,
    }  # fmt: skip
    assert complete["rate"] == 0.5
    further = signature(tmp_path, "def Net(**others): pass").complete("sig:Net", values)
    assert further == values
    assert {type(value) for value in further.values()} == {int, float}


def test_equal_values_of_other_types_are_told_apart_in_a_choice(tmp_path):
    text = "from typing import Literal\ndef Net(a: Literal[1, True, 'x'] = 'x'): pass"
    found = signature(tmp_path, text)
    for value in (1, True, "x"):
        assert found.complete("sig:Net", {"a": value})["a"] is value
    with pytest.raises(UserError, match=r"a must be one of 1, True, x, but got 1\.0"):
        found.complete("sig:Net", {"a": 1.0})


def test_a_choice_without_a_default_needs_a_value(tmp_path):
    text = "from typing import Literal\ndef Net(mode: Literal['a', 'b']): pass"
    with pytest.raises(UserError, match="needs a value of mode, which has no default"):
        signature(tmp_path, text).complete("sig:Net", {})


def test_with_further_keywords_any_name_is_a_hyperparameter(tmp_path):
    found = signature(tmp_path, "def Net(a: int = 1, **others): pass")
    assert found.complete("sig:Net", {"b": 2, "c": "x"}) == {"a": 1, "b": 2, "c": "x"}
    assert found.complete("sig:Net", {"b": None}) == {"a": 1}
    with pytest.raises(UserError, match="a number, a word, true or false"):
        found.complete("sig:Net", {"b": [2]})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def Net(x, /): pass", "takes x by position"),
        ("def Net(*sizes): pass", r"takes \*sizes by position"),
        ("def Net(width): pass", "needs width, whose type a spec cannot set"),
        ("def Net(width: list): pass", "needs width, whose type a spec cannot set"),
        ("def Net(width: int = 'a'): pass", "the default of width must be a whole number"),
        ("def Net(deep: bool = 0): pass", "the default of deep must be true or false, but got 0"),
        ("def Net(width: 'Missing' = 1): pass", "cannot be read: NameError"),
    ],
)
def test_arguments_that_a_spec_cannot_give_are_refused(tmp_path, text, words):
    with pytest.raises(UserError, match=words):
        signature(tmp_path, text)


def test_a_copy_holds_the_used_files_and_has_the_same_hash(tmp_path):
    code = find(write(tmp_path / "mine"))
    (tmp_path / "run").mkdir()
    for _ in range(2):
        write_copy([code], tmp_path / "run" / "code")
    shutil.rmtree(tmp_path / "mine")
    copy = read_copy(code.reference, tmp_path / "run" / "code", code.hash)
    assert [*copy.files] == [*code.files]
    assert load(copy)() == 12


def test_code_of_an_installed_package_is_not_copied_and_found_where_it_is(tmp_path):
    mine, installed = find(write(tmp_path / "mine")), find(tmp_path, "cmaes:CMA")
    write_copy([mine, installed], tmp_path / "code")
    assert not (tmp_path / "code" / "cmaes").exists()
    hashes = {str(code.reference): code.hash for code in (mine, installed)}
    copy, same = provide_copies(tmp_path / "code", hashes)
    assert (copy.root, same.root) == (tmp_path / "code", installed.root)
    for code in (copy, same):
        assert provided(str(code.reference), code.hash) == code


def test_files_of_a_copy_that_was_not_completed_are_not_in_the_next_one(tmp_path):
    write(tmp_path / ".code", {"of_another.py": ""})
    code = find(write(tmp_path / "mine"))
    write_copy([code], tmp_path / "code")
    files = [file for file in (tmp_path / "code").rglob("*") if file.is_file()]
    assert {file.relative_to(tmp_path / "code").as_posix() for file in files} == {*code.files}


def test_a_changed_or_missing_copy_is_refused(tmp_path, monkeypatch):
    code = find(write(tmp_path / "mine"))
    write_copy([code], tmp_path / "code")
    (tmp_path / "code" / "json.py").write_text("")
    read_copy(code.reference, tmp_path / "code", code.hash)
    (tmp_path / "code" / "numpy.py").write_text("")
    with pytest.raises(UserError, match="restore the folder"):
        read_copy(code.reference, tmp_path / "code", code.hash)
    shutil.rmtree(tmp_path / "code")
    monkeypatch.syspath_prepend(tmp_path / "mine")
    with pytest.raises(MissingFileError, match="is missing in"):
        read_copy(code.reference, tmp_path / "code", code.hash)


def test_own_code_from_two_folders_with_files_of_one_name_is_refused(tmp_path):
    first = find(write(tmp_path / "1", {"helper.py": "1", "a.py": "import helper"}), "a:x")
    second = find(write(tmp_path / "2", {"helper.py": "2", "b.py": "import helper"}), "b:x")
    with pytest.raises(UserError, match=r"different files helper\.py"):
        write_copy([first, second], tmp_path / "code")
    assert not (tmp_path / "code").exists()


def test_code_is_trusted_once_the_user_has_said_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, run = find(write(tmp_path / "elsewhere")), tmp_path / "run"
    with pytest.raises(UserError, match="--trust-code"):
        check_trusted([code], run)
    trust([code])
    trust([code])
    check_trusted([code], run)
    assert record() == tmp_path / "config" / "fairsweep" / "trusted_code"
    assert record().read_text() == f"{code.hash} owner.nets:net\n"
    assert record().parent.stat().st_mode & 0o77 == 0
    (tmp_path / "elsewhere" / "owner" / "layers.py").write_text("import os\n")
    with pytest.raises(UserError, match="--trust-code"):
        check_trusted([find(tmp_path / "elsewhere")], run)


def test_code_that_was_trusted_earlier_stays_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    first = find(write(tmp_path / "1"))
    second = find(write(tmp_path / "2", {"b.py": ""}), "b:x")
    trust([first])
    trust([second])
    check_trusted([first, second], tmp_path / "run")


def test_trusted_code_is_kept_in_the_users_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    assert record() == tmp_path / ".config" / "fairsweep" / "trusted_code"


def test_code_that_is_the_same_in_the_current_folder_is_trusted(tmp_path, monkeypatch):
    monkeypatch.chdir(write(tmp_path / "mine"))
    code = find(write(tmp_path / "run" / "code"))
    check_trusted([code], tmp_path / "run")
    for text in ("import os", "("):
        (tmp_path / "mine" / "owner" / "nets.py").write_text(text)
        with pytest.raises(UserError, match="--trust-code"):
            check_trusted([code], tmp_path / "run")


def test_installed_code_is_not_in_the_current_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(write(tmp_path))
    mine = find(tmp_path)
    assert present(mine) == mine
    assert present(find(tmp_path, "cmaes:CMA")) is None


def test_installed_code_that_a_run_names_is_not_trusted_without_the_users_word(tmp_path):
    code = find(tmp_path, "cmaes:CMA")
    with pytest.raises(UserError, match=f"{tmp_path} would import cmaes:CMA from {code.root} "):
        check_trusted([code], tmp_path)


def test_the_place_of_code_in_a_run_that_is_not_trusted_is_the_run(tmp_path):
    code = find(write(tmp_path / "code"))
    with pytest.raises(UserError, match=f"import owner.nets:net from {tmp_path / 'a run'} "):
        check_trusted([code], tmp_path / "a run")
