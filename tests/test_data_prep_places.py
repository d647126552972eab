import io
import os
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from data_prep.places import READ_ERRORS, is_archive, members
from data_prep.rejections import BadInputError, Rejections


def told(path, rejections=None):
    """(path inside, shown, size, content) of each member, read one after the other."""
    found = []
    for member in members(path, rejections or Rejections()):
        with member.open() as stream:
            found.append((str(member.path), member.shown, member.size_bytes, stream.read()))
    return found


def noted(rejections):
    return [(one.file, one.row, one.reason) for one in rejections._rows]


@pytest.mark.parametrize(
    "name", ["a.zip", "A B.ZIP", "a.tar", "a.tar.gz", "a.TGZ", "a.tar.bz2", "a.tar.xz"]
)
def test_zips_and_tars_are_known_by_their_names(name):
    assert is_archive(Path("folder") / name)


@pytest.mark.parametrize("name", ["a.csv", "zip", "a.zip.csv", "a.gz", "a.zip/b.csv"])
def test_other_names_are_no_archives(name):
    assert not is_archive(Path(name))


def test_a_folder_is_gone_through_in_order_of_its_paths(tmp_path):
    root = tmp_path / "my set.zip"  # a folder, whatever its name
    for name in ("b/z.png", "b/a.png", "a b/c.txt", "top.csv", "b..odd/x"):
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    names = sorted(["b/a.png", "a b/c.txt", "b..odd/x", "b/z.png", "top.csv"], key=Path)
    assert told(root) == [(one, f"my set.zip/{one}", len(one), one.encode()) for one in names]


@pytest.mark.parametrize("suffix", [".zip", ".ZIP"])
def test_a_zip_is_gone_through_in_its_own_order_without_folders_and_links(tmp_path, suffix):
    path = tmp_path / f"my set{suffix}"
    with zipfile.ZipFile(path, "w") as archive:
        archive.mkdir("b")
        archive.writestr("b/z.png", b"zz")
        archive.writestr("a/../a.png", b"a")
        archive.writestr("..odd/x", b"hidden")
        archive.writestr("__MACOSX/b/._z.png", b"hidden")
        archive.writestr("windows\\c\\w.png", b"w")
        archive.writestr("windows\\c\\", b"")
    assert told(path) == [
        ("b/z.png", f"my set{suffix}:b/z.png", 2, b"zz"),
        ("a.png", f"my set{suffix}:a/../a.png", 1, b"a"),
        ("windows/c/w.png", f"my set{suffix}:windows/c/w.png", 1, b"w"),
    ]


@pytest.mark.parametrize("target", ["b/z.png", "../../evil.png", "x" * 5_000_000])
def test_a_link_in_a_zip_is_refused_before_it_is_unpacked(tmp_path, monkeypatch, target):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        link = zipfile.ZipInfo("deep/link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, target)
        hidden = zipfile.ZipInfo("deep/._link.png")
        hidden.external_attr = 0o120777 << 16
        archive.writestr(hidden, target)
        archive.writestr("good.png", b"y")
    monkeypatch.setattr(zipfile.ZipFile, "read", None)
    message = r"^a.zip:deep/link.png: a link in a zip is not followed; pack the files themselves"
    with pytest.raises(BadInputError, match=message):
        told(tmp_path / "a.zip")
    rejections = Rejections(skip_bad=True)
    assert [name for name, *_ in told(tmp_path / "a.zip", rejections)] == ["good.png"]
    assert [one.file for one in rejections.rows] == ["a.zip:deep/link.png"], "no hidden one"


def test_links_of_a_folder_are_followed_without_loops(tmp_path):
    root, aside = tmp_path / "set", tmp_path / "aside"
    for name in ("set/a/1.png", "aside/2.png", "aside/deep/3.png"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    (root / "b").symlink_to(aside)
    (root / "a" / "4.png").symlink_to(aside / "2.png")
    (root / "a" / "loop").symlink_to("..")
    (root / "a" / "again").symlink_to(".")
    (aside / "deep" / "loop").symlink_to(root)
    assert [name for name, *_ in told(root)] == ["a/1.png", "a/4.png", "b/2.png", "b/deep/3.png"]


def test_what_a_walk_cannot_read_is_refused_or_noted(tmp_path):
    (tmp_path / "set" / "a").mkdir(parents=True)
    (tmp_path / "set" / "a" / "1.png").write_bytes(b"x")
    (tmp_path / "set" / "gone").symlink_to("nowhere")
    (tmp_path / "set" / ".hidden").symlink_to("nowhere")
    os.mkfifo(tmp_path / "set" / "pipe")
    Path(os.fsdecode(os.fsencode(tmp_path / "set" / "a") + b"/\xe9.png")).write_bytes(b"x")
    with pytest.raises(BadInputError, match=r"^set/a/.udce9.png: its name is not UTF-8; rename it"):
        told(tmp_path / "set")
    rejections = Rejections(skip_bad=True)
    assert [name for name, *_ in told(tmp_path / "set", rejections)] == ["a/1.png"]
    assert noted(rejections) == [
        ("set/a/\\udce9.png", None, "its name is not UTF-8; rename it"),
        ("set/gone", None, "this link leads nowhere"),
        ("set/pipe", None, "is no regular file"),
    ]
    rejections.write(tmp_path / "rejected.csv")


def test_a_name_in_a_tar_that_is_not_utf_8_is_refused_by_name(tmp_path):
    with tarfile.open(
        tmp_path / "a.tar", "w", encoding="latin-1", format=tarfile.GNU_FORMAT
    ) as archive:
        archive.addfile(tarfile.TarInfo("b/\xe9.png"))
    with pytest.raises(BadInputError, match=r"^a.tar:b/.udce9.png: its name is not UTF-8; rename"):
        told(tmp_path / "a.tar")


def write_tar(path, mode="w", *, dangling=False):
    with tarfile.open(path, mode) as archive:
        folder = tarfile.TarInfo("b")
        folder.type = tarfile.DIRTYPE
        archive.addfile(folder)
        for name, content in (("b/z.png", b"zz"), ("a.png", b"a")):
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        kinds = {"c/soft.png": (tarfile.SYMTYPE, "../b/z.png")}
        kinds["c/hard.png"] = (tarfile.LNKTYPE, "a.png")
        if dangling:
            kinds["c/gone.png"] = (tarfile.SYMTYPE, "nowhere.png")
            kinds["c/folder.png"] = (tarfile.SYMTYPE, "../b")
        for name, (kind, target) in kinds.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = kind, target
            archive.addfile(info)


@pytest.mark.parametrize("suffix", [".tar", ".tar.gz", ".tar.bz2", ".tar.xz", ".TGZ"])
def test_a_tar_is_gone_through_in_its_own_order_and_links_are_followed(tmp_path, suffix):
    """A soft link starts at its own folder, a hard one at the top of the archive."""
    path = tmp_path / f"my set{suffix}"
    mode = {".tar": "w", ".tar.bz2": "w:bz2", ".tar.xz": "w:xz"}.get(suffix, "w:gz")
    write_tar(path, mode)
    found = told(path)
    assert [(name, content) for name, _, _, content in found] == [
        ("b/z.png", b"zz"), ("a.png", b"a"), ("c/soft.png", b"zz"), ("c/hard.png", b"a"),
    ]  # fmt: skip
    assert found[0][1:3] == (f"my set{suffix}:b/z.png", 2)


def test_a_link_to_nothing_or_to_a_folder_inside_a_tar_cannot_be_opened(tmp_path):
    write_tar(tmp_path / "a.tar", dangling=True)
    tried = []
    for member in members(tmp_path / "a.tar", Rejections()):
        if member.path.name in ("gone.png", "folder.png"):
            with pytest.raises(KeyError):
                member.open()
            tried.append(member.path.name)
    assert tried == ["gone.png", "folder.png"]


def test_a_missing_place_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone.zip does not exist; check the path"):
        list(members(tmp_path / "gone.zip", Rejections()))


@pytest.mark.parametrize("name", ["a b.zip", "a b.tar"])
def test_a_file_that_is_no_archive_is_refused_or_noted(tmp_path, name):
    (tmp_path / name).write_bytes(b"not an archive")
    message = rf"(?s)^{name}: the archive cannot be read to its end \(.+\); download it again"
    with pytest.raises(BadInputError, match=message):
        told(tmp_path / name)
    rejections = Rejections(skip_bad=True)
    assert told(tmp_path / name, rejections) == []
    ((file, row, reason),) = noted(rejections)
    assert (file, row) == (name, None)
    assert "cannot be read to its end" in reason


@pytest.mark.parametrize(
    ("kind", "target", "inside"),
    [
        (tarfile.SYMTYPE, "../good.png", True),
        (tarfile.SYMTYPE, "../../good.png", False),
        (tarfile.LNKTYPE, "../good.png", False),
        (tarfile.LNKTYPE, "good.png", True),
    ],
)
def test_a_soft_link_starts_at_its_folder_and_a_hard_one_at_the_top(tmp_path, kind, target, inside):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        archive.addfile(tarfile.TarInfo("good.png"))
        info = tarfile.TarInfo("deep/link.png")
        info.type, info.linkname = kind, target
        archive.addfile(info)
    rejections = Rejections(skip_bad=True)
    found = [str(member.path) for member in members(tmp_path / "a.tar", rejections)]
    assert found == ["good.png", "deep/link.png"][: 1 + inside]
    assert [file for file, *_ in noted(rejections)] == ["a.tar:deep/link.png"][inside:]


@pytest.mark.parametrize("kind", ["bz2", "xz"])
def test_an_archive_with_damage_inside_is_refused(tmp_path, kind):
    """What cannot be read to its end is noted once."""
    path = tmp_path / f"a.tar.{kind}"
    noise = np.random.default_rng(0).bytes(500_000)
    with tarfile.open(path, f"w:{kind}", **({"preset": 0} if kind == "xz" else {})) as archive:
        for number in range(20):
            info = tarfile.TarInfo(f"{number}.png")
            info.size = 25_000
            archive.addfile(info, io.BytesIO(noise[number * 25_000 :]))
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle : middle + 300] = bytes(300)
    path.write_bytes(content)
    with pytest.raises(BadInputError, match=rf"^a.tar.{kind}: the archive cannot be read to"):
        list(members(path, Rejections()))
    rejections = Rejections(skip_bad=True)
    assert len(list(members(path, rejections))) < 20
    assert len(noted(rejections)) == 1


def test_an_encrypted_member_of_a_zip_cannot_be_opened(tmp_path):
    """Flag 1 of the local header and of the directory says so."""
    path = tmp_path / "a.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.png", b"secret")
    content = bytearray(path.read_bytes())
    content[6] |= 1
    content[content.index(b"PK\x01\x02") + 8] |= 1
    path.write_bytes(content)
    for member in members(path, Rejections()):
        with pytest.raises(READ_ERRORS):
            member.open()


def test_a_member_that_leads_out_is_named_and_the_others_are_read(tmp_path):
    path = tmp_path / "a b.zip"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("x/../../evil.png", b"x")
        link = zipfile.ZipInfo("deep/link.png")
        link.external_attr = 0o120777 << 16
        archive.writestr(link, "../../evil.png")
        archive.writestr("good.png", b"y")
    rejections = Rejections(skip_bad=True)
    assert [name for name, *_ in told(path, rejections)] == ["good.png"]
    assert noted(rejections) == [
        ("a b.zip:x/../../evil.png", None, "'x/../../evil.png' leads out of the archive"),
        ("a b.zip:deep/link.png", None, "a link in a zip is not followed"),
    ]
