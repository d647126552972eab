"""Datasets at URLs and copies of runs, with a real S3 server on this machine."""

import multiprocessing
import os
import time
import urllib.request
from types import SimpleNamespace

import numpy as np
import pyarrow.fs as pafs
import pytest
from moto.server import ThreadedMotoServer

from data_prep.reader import read_dataset
from fairsweep.errors import UserError
from tests.support.sweeps import small_spec
from tune.__main__ import main
from tune.commands import copy as copying
from tune.commands.copy import copy_run
from tune.run.directory import LEASE_FILE, LEDGER_FILE, RAY_DIR, RETRY_FILE, STOP_FILE, RunError
from tune.session import store
from tune.session.carried import Carried
from tune.session.run_directory import create_run, find_dataset, read_provenance
from tune.session.store import STAGE, is_staged, local_copy, open_dataset, read_manifest


@pytest.fixture(scope="module")
def bucket():
    """A function that puts a folder into a new bucket and returns its URL."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    endpoint = "http://{}:{}".format(*server.get_host_and_port())
    request = urllib.request.Request(f"{endpoint}/sweeps", method="PUT")
    urllib.request.urlopen(request).close()
    with pytest.MonkeyPatch.context() as environment:
        for name, value in {
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_ACCESS_KEY_ID": "me",
            "AWS_SECRET_ACCESS_KEY": "secret",
            "AWS_DEFAULT_REGION": "us-east-1",
        }.items():
            environment.setenv(name, value)
        yield "s3://sweeps"
    server.stop()


@pytest.fixture(scope="module")
def stored(bucket, synthetic_dataset):
    """The URL of the drawn faces."""
    url = f"{bucket}/data/faces"
    pafs.copy_files(str(synthetic_dataset), url)
    return url


@pytest.fixture
def disk(tmp_path, monkeypatch):
    """This node's own disk."""
    disk = tmp_path / "disk"
    monkeypatch.setenv(STAGE, str(disk))
    return disk


def test_a_dataset_at_a_url_is_read_like_one_in_a_folder(stored, synthetic_dataset, disk):
    ours, theirs = open_dataset(stored), read_dataset(synthetic_dataset)
    assert ours.manifest == theirs.manifest == read_manifest(stored)
    np.testing.assert_array_equal(ours.pixels, theirs.pixels)
    assert ours.place == stored  # Other nodes must read it there, not on this one's disk.
    assert list(disk.rglob("images.parquet"))


def test_a_node_copies_a_dataset_once_whoever_asks(synthetic_dataset, disk):
    context = multiprocessing.get_context("fork")
    with context.Pool(3) as pool:
        copies = pool.map(local_copy, [str(synthetic_dataset)] * 3)
    assert len(set(copies)) == 1
    before = (copies[0] / "images.parquet").stat()
    assert local_copy(str(synthetic_dataset)) == copies[0]
    assert (copies[0] / "images.parquet").stat().st_ino == before.st_ino
    assert not list(disk.rglob("*.partial"))


@pytest.mark.usefixtures("disk")
def test_a_copy_that_was_cut_off_is_made_again(stored):
    copy = local_copy(stored)
    cut = copy.rename(copy.with_name(f"{copy.name}.partial"))
    (cut / "images.parquet").write_bytes(b"PAR1")
    assert read_dataset(local_copy(stored)).manifest == read_manifest(stored)


def test_a_node_whose_copying_broke_copies_anew(synthetic_dataset, disk, monkeypatch):
    real = store._fetch

    def breaks(place, target, only=""):
        real(place, target, only)
        if not only:
            (target / "images.parquet").unlink()
            raise ValueError("the store is gone")

    monkeypatch.setattr(store, "_fetch", breaks)
    with pytest.raises(ValueError, match="the store is gone"):
        local_copy(str(synthetic_dataset))
    monkeypatch.setattr(store, "_fetch", real)
    assert (local_copy(str(synthetic_dataset)) / "images.parquet").is_file()
    assert not list(disk.rglob("*.partial"))


@pytest.mark.usefixtures("disk")
def test_a_run_remembers_the_url_of_its_dataset(stored, tmp_path):
    run = create_run(tmp_path, small_spec(data=stored), read_manifest(stored), Carried())
    (run / LEDGER_FILE).touch()
    assert read_provenance(run)["dataset"]["path"] == stored
    assert find_dataset(run, None).place == stored


@pytest.mark.parametrize(
    ("url", "cause"),
    [
        ("s3://sweeps/nothing", "s3://sweeps/nothing is not a prepared dataset"),
        ("ftp://sweeps/faces", "it must begin with s3://, gs:// or file://"),
    ],
)
@pytest.mark.usefixtures("bucket")
def test_a_url_without_a_dataset_is_refused_in_one_line(url, cause):
    with pytest.raises((FileNotFoundError, ValueError), match=cause) as refused:
        read_manifest(url)
    assert "\n" not in str(refused.value)


@pytest.fixture
def run(tmp_path, synthetic_dataset):
    """A run with files of every kind."""
    spec = small_spec(data=str(synthetic_dataset))
    run = create_run(tmp_path, spec, read_manifest(synthetic_dataset), Carried())
    for name in ("checkpoints/a/best.pt", f"{RAY_DIR}/log", LEASE_FILE, STOP_FILE, ".partial.7"):
        (run / name).parent.mkdir(parents=True, exist_ok=True)
        (run / name).write_text(name)
    (run / LEDGER_FILE).write_text('{"event": "sweep_started"}\n')
    return run


def contents(url):
    store, base = pafs.FileSystem.from_uri(url)
    found = store.get_file_info(pafs.FileSelector(base, recursive=True))
    files = [one.path for one in found if one.type == pafs.FileType.File]
    return {path.removeprefix(f"{base}/"): store.open_input_file(path).read() for path in files}


@pytest.mark.parametrize("store", ["s3", "folder"])
def test_a_run_is_copied_without_what_means_nothing_elsewhere(run, bucket, tmp_path, store):
    time.sleep(1.1)  # Times in S3 are whole seconds.
    url = f"{bucket}/runs/small" if store == "s3" else f"file://{tmp_path}/copies/small"
    assert main(["copy", str(run), url]) == 0
    names = {"checkpoints/a/best.pt", "provenance.json", "spec.yaml", LEDGER_FILE}
    copied = contents(url)
    assert copied == {name: (run / name).read_bytes() for name in names}

    with (run / LEDGER_FILE).open("a") as ledger:
        ledger.write('{"event": "space_exhausted"}\n')
    assert copy_run(run, url) == 1
    assert contents(url)[LEDGER_FILE] == (run / LEDGER_FILE).read_bytes()


def test_only_a_run_is_copied_and_only_to_what_can_be_written(run, bucket, tmp_path, capsys):
    assert main(["copy", str(tmp_path), f"{bucket}/x"]) == 2
    assert "is not a run directory" in capsys.readouterr().err
    with pytest.raises(RunError, match="cannot write to s3://not-there/x"):
        copy_run(run, "s3://not-there/x")


def test_a_store_that_does_not_answer_is_told_in_one_line(monkeypatch):
    # An endpoint of one's own is not asked for a region, and the real one is not here.
    stores = SimpleNamespace(FileSystem=SimpleNamespace(from_uri=silent))
    monkeypatch.setattr("tune.session.store.pafs", stores)
    with pytest.raises(ValueError, match=r"s3://nobody/faces cannot be reached \(no route") as told:
        read_manifest("s3://nobody/faces")
    assert "\n" not in str(told.value)


def silent(_url):
    raise OSError("no route\nto host")


def test_the_ledger_is_copied_last_so_that_what_it_tells_of_is_there(run, tmp_path, monkeypatch):
    opened = []
    real = type(run).open

    def open_file(path, *words, **options):
        if path.is_relative_to(run) and words == ("rb",):
            opened.append(path.relative_to(run).as_posix())
            if path.name == "best.pt":
                path.with_name("late.pt").write_text("written meanwhile")
        return real(path, *words, **options)

    monkeypatch.setattr(type(run), "open", open_file)
    (run / f"{STOP_FILE}-trial").touch()
    (run / RETRY_FILE).touch()
    (run / "zz last of all.csv").touch()
    copy_run(run, str(tmp_path / "my copies"))
    assert opened[-1] == LEDGER_FILE
    assert opened[:-1] == sorted(opened[:-1])
    assert sorted(contents(f"file://{tmp_path}/my%20copies")) == sorted(opened)
    assert not any(STOP_FILE in name or RETRY_FILE in name for name in opened)


def test_a_file_that_was_tidied_away_meanwhile_is_left_out(run, tmp_path, monkeypatch):
    real = list(copying._files_of(run))
    (run / "checkpoints/a/best.pt").unlink()
    monkeypatch.setattr(copying, "_files_of", lambda _run: iter(real))
    assert copy_run(run, f"file://{tmp_path}/copy") == len(real) - 1


def test_a_copied_file_is_copied_again_where_it_is_newer_or_of_another_size(run, tmp_path):
    url = f"file://{tmp_path}/copy"
    copy_run(run, url)
    assert copy_run(run, url) == 0
    copy = tmp_path / "copy" / "spec.yaml"
    now = copy.stat().st_mtime
    os.utime(run / "spec.yaml", (now, now))
    os.utime(copy, (now, now))
    assert copy_run(run, url) == 0
    os.utime(run / "spec.yaml", (now + 5, now + 5))
    assert copy_run(run, url) == 1
    copy.write_text("short")
    assert copy_run(run, url) == 1
    assert copy.read_bytes() == (run / "spec.yaml").read_bytes()


def test_a_dataset_is_staged_where_it_is_asked_for_or_at_a_url(monkeypatch, tmp_path):
    monkeypatch.delenv(STAGE, raising=False)
    assert not is_staged("data/faces")
    assert is_staged("s3://b/faces")
    monkeypatch.setenv(STAGE, str(tmp_path))
    assert is_staged("data/faces")


@pytest.mark.parametrize("kind", ["file", "link", "open to all", "of somebody else"])
def test_a_cache_that_others_could_change_is_refused(synthetic_dataset, disk, monkeypatch, kind):
    cache = disk / f"tune-datasets-{os.getuid()}"
    disk.mkdir()
    if kind == "file":
        cache.touch()
    elif kind == "link":
        (disk / "elsewhere").mkdir(mode=0o700)
        cache.symlink_to("elsewhere")
    else:
        cache.mkdir()
        cache.chmod(0o777 if kind == "open to all" else 0o755)
    if kind == "of somebody else":
        somebody = os.getuid() + 1
        monkeypatch.setattr(store.os, "getuid", lambda: somebody)
        cache.rename(disk / f"tune-datasets-{somebody}")
    with pytest.raises(UserError, match=r"-\d+ must be a folder of your own .*; remove it"):
        open_dataset(synthetic_dataset)


@pytest.mark.parametrize("url", ["s3://HUSH:HUSH@sweeps/data", "s3://sweeps/data?secret_key=HUSH"])
def test_keys_in_a_url_reach_neither_a_message_nor_a_run(tmp_path, monkeypatch, capsys, url):
    monkeypatch.chdir(tmp_path)
    spec = tmp_path / "spec.yaml"
    spec.write_text(f"name: small\ndata: '{url}'\nfixed: {{epochs: 1}}\nspace: {{blocks: [1]}}\n")
    (tmp_path / "run").mkdir()
    for words in (["run", str(spec)], ["plan", str(spec)], ["copy", "run", url]):
        assert main(words) == 2
    told = "".join(capsys.readouterr())
    assert "HUSH" not in told
    assert not (tmp_path / "runs").exists()
    with pytest.raises(UserError) as refused:
        open_dataset(url)
    assert "HUSH" not in str(refused.value)


def test_a_staged_dataset_keeps_the_place_that_it_comes_from(synthetic_dataset, disk, monkeypatch):
    monkeypatch.chdir(synthetic_dataset.parent)
    found = open_dataset(synthetic_dataset.name)
    assert found.place == str(synthetic_dataset)
    (copy,) = disk.rglob("images.parquet")
    assert copy.parent.name == found.manifest.fingerprint
    assert copy.parent.parent.stat().st_mode & 0o777 == 0o700


def test_a_slash_at_the_end_of_a_url_names_the_same_place(run, tmp_path):
    assert copy_run(run, f"file://{tmp_path}/copy/") > 0
    assert copy_run(run, f"file://{tmp_path}/copy") == 0
    assert store.open_store("file:///a/b/")[1] == "/a/b"


def test_a_store_that_breaks_while_it_is_read_is_told_in_one_line(monkeypatch):
    def broken(*_):
        raise OSError("the network\nis gone")

    monkeypatch.setattr("tune.session.store.pafs.copy_files", broken)
    with pytest.raises(UserError, match=r"^cannot read file:///nowhere: the network is gone$"):
        read_manifest("file:///nowhere")
