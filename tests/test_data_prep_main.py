import json
import runpy
import sys
import tempfile
from dataclasses import replace

import pyarrow.parquet as pq
import pytest

import data_prep.__main__ as program
from data_prep.manifest import DatasetManifest
from data_prep.pictures import FITS
from data_prep.reader import read_dataset
from tests.support.dataset_factory import CLASSES, labelled_images, write_labelled
from tests.support.fer_factory import write_small_csv


def test_inspect_prints_what_a_machine_needs(synthetic_dataset, capsys):
    assert program.main(["inspect", str(synthetic_dataset), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    dataset = read_dataset(synthetic_dataset)
    assert found["images"] == len(dataset.labels) == sum(found["classes"].values())
    assert set(found["duplicates"]) == {"groups", "surplus", "across_splits"}
    assert found["duplicates"]["across_splits"] == 0
    assert found["fingerprint"] == dataset.manifest.fingerprint
    assert found["label_rule"] == "published"
    assert found["steps"][-1]["left"] == found["images"]
    for split, counts in found["splits"].items():
        assert sum(counts.values()) == len(dataset.rows(split))


def test_inspect_keeps_brackets_in_names(synthetic_dataset, tmp_path, capsys):
    found = DatasetManifest.read(synthetic_dataset)
    classes = ("[bold] face", *found.classes[1:])
    counts = {split: dict.fromkeys(classes, 3) for split in found.counts}
    replace(found, classes=classes, counts=counts).write(tmp_path)
    assert program.main(["inspect", str(tmp_path)]) == 0
    assert "[bold] face" in capsys.readouterr().out


def test_inspect_tells_a_person(synthetic_dataset, capsys):
    assert program.main(["inspect", str(synthetic_dataset)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "validation and test pictures with a copy in train: 0" in printed
    assert "NF votes > 0" in printed


def test_inspect_tells_how_the_votes_are_distributed(synthetic_dataset, capsys):
    details = DatasetManifest.read(synthetic_dataset).details
    assert program.main(["inspect", str(synthetic_dataset)]) == 0
    printed = " ".join(capsys.readouterr().out.split())
    for key, name in (
        ("nf_votes", "NF votes"),
        ("unknown_votes_where_nf_is_0", "unknown votes, where NF has none"),
    ):
        counts = "; ".join(f"{votes}: {rows:,}" for votes, rows in details[key].items())
        assert f"rows by number of {name}: {counts}" in printed


def test_inspect_of_no_dataset_is_refused(tmp_path, capsys):
    assert program.main(["inspect", str(tmp_path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {tmp_path} is not a prepared dataset")


def test_inspect_of_a_manifest_that_lacks_something_names_it(tmp_path, synthetic_dataset, capsys):
    values = json.loads((synthetic_dataset / "manifest.json").read_text())
    del values["mean"], values["classes"]
    (tmp_path / "manifest.json").write_text(json.dumps(values))
    assert program.main(["inspect", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert "manifest.json is not a dataset manifest: classes, mean missing or unknown" in error
    assert error.count("\n") == 1


def test_the_table_has_the_documented_columns(synthetic_dataset):
    table = pq.read_table(synthetic_dataset / "images.parquet")
    assert table.column_names[:8] == [
        "image_id", "source", "split", "fold", "label", "pixels", "content_hash", "duplicate_group",
    ]  # fmt: skip
    assert json.loads(table.schema.metadata[b"dataset"])["image_shape"] == [48, 48]
    assert table["fold"].null_count == sum(split == "test" for split in table["split"].to_pylist())
    assert str(table.schema.field("votes_anger").type) == "int8"
    assert str(table.schema.field("pixels").type) == "fixed_size_binary[2304]"


def test_group_columns_reach_the_table_but_not_the_fingerprint(tmp_path, capsys, small_csv):
    pictures, votes = small_csv
    base = ["fer2013", "--images", str(pictures), "--votes", str(votes)]
    plain, joined = tmp_path / "plain", tmp_path / "joined"
    assert program.main([*base, "--out", str(plain)]) == 0
    first = str(read_dataset(plain).image_ids[0])
    groups = tmp_path / "groups.csv"
    groups.write_text(f"image_id,age\n{first},child\nfer2013/99999,adult\n")
    assert program.main([*base, "--out", str(joined), "--groups", str(groups)]) == 0
    assert "1 ids match no picture" in " ".join(capsys.readouterr().out.split())
    table = pq.read_table(joined / "images.parquet", columns=["image_id", "age"])
    assert {row["image_id"]: row["age"] for row in table.to_pylist() if row["age"]} == {
        first: "child"
    }
    prints = {DatasetManifest.read(out).fingerprint for out in (plain, joined)}
    assert len(prints) == 1


@pytest.fixture(scope="module")
def small_csv(tmp_path_factory):
    return write_small_csv(tmp_path_factory.mktemp("small csv"))


def test_the_options_of_fer2013_reach_the_dataset(tmp_path, small_csv, capsys):
    pictures, votes = map(str, small_csv)
    groups = tmp_path / "my groups.csv"
    groups.write_text("image_id,age\nnobody,old\nnobody,young\nfer2013/00000,old\n")
    out = tmp_path / "new folder" / "out"
    options = ["--rule", "table", "--split", "random", "--seed", "4294967295", "--name", "other"]
    options += ["--groups", str(groups), "--skip-bad", "--no-near-duplicates"]
    base = ["fer2013", "--images", pictures, "--votes", votes, "--out", str(out)]
    assert program.main([*base, *options]) == 0
    printed = capsys.readouterr().out
    manifest = DatasetManifest.read(out)
    assert (manifest.name, manifest.label_rule) == ("other", "table")
    assert (manifest.split_method, manifest.split_seed) == ("random", 4294967295)
    assert manifest.details["near_duplicates"] is False
    assert manifest.details["group_columns"]["unknown_ids"] == 1
    assert "appears again" in (out / "rejected.csv").read_text()
    assert printed.splitlines()[-1] == f"{manifest.images:,} pictures are in {out}"


def test_without_options_fer2013_is_prepared_as_the_study_published_it(tmp_path, small_csv):
    pictures, votes = map(str, small_csv)
    out = tmp_path / "out"
    base = ["fer2013", "--images", pictures, "--votes", votes, "--out", str(out)]
    assert program.main(base) == 0
    manifest = DatasetManifest.read(out)
    assert (manifest.name, manifest.label_rule) == ("out", "published")
    assert (manifest.split_method, manifest.split_seed) == ("grouped", 0)
    assert manifest.details["near_duplicates"] is True


def test_the_options_of_synthetic_reach_the_dataset(tmp_path):
    out = tmp_path / "out"
    arguments = ["--images", "250", "--seed", "5", "--name", "other", "--duplicates", "v1"]
    assert program.main(["synthetic", "--out", str(out), *arguments]) == 0
    manifest = DatasetManifest.read(out)
    assert (manifest.name, manifest.split_seed) == ("other", 5)
    assert manifest.details["rows"] == 250
    assert manifest.details["duplicate_search"] == "v1"


def test_the_options_of_folders_reach_the_dataset(tmp_path, capsys):
    write_labelled(tmp_path / "my set", labelled_images(columns={}))
    config = tmp_path / "my sources.yaml"
    source = f"{{name: a, dataset: '{tmp_path}/my set'}}"
    config.write_text(f"classes: [{', '.join(CLASSES)}]\nimage_size: 8\nsources: [{source}]\n")
    groups = tmp_path / "my groups.csv"
    groups.write_text("image_id,age\nnobody,old\nnobody,young\nfirst/900,old\n")
    out = tmp_path / "out"
    options = ["--split", "random", "--seed", "6", "--name", "other", "--skip-bad"]
    options += ["--groups", str(groups), "--no-near-duplicates"]
    base = ["folders", "--config", str(config), "--out", str(out)]
    assert program.main([*base, *options]) == 0
    manifest = DatasetManifest.read(out)
    assert (manifest.name, manifest.classes) == ("other", CLASSES)
    assert (manifest.split_method, manifest.split_seed) == ("random", 6)
    assert manifest.details["near_duplicates"] is False
    assert manifest.details["group_columns"]["unknown_ids"] == 1
    assert capsys.readouterr().out.splitlines()[-1] == f"95 pictures are in {out}"
    options.remove("--skip-bad")
    assert program.main([*base[:-1], str(tmp_path / "again"), *options]) == 2
    assert "appears again" in capsys.readouterr().err
    config.write_text(f"{config.read_text()}duplicates: v1\n")
    assert program.main([*base[:-1], str(tmp_path / "old")]) == 0
    details = DatasetManifest.read(tmp_path / "old").details
    assert details["duplicate_search"] == "v1", "without the option the file decides"


def test_a_wrong_option_ends_with_2(tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        program.main(["fer2013", "--out", str(tmp_path), "--images", "x", "--rule", "other"])
    assert stop.value.code == 2
    with pytest.raises(SystemExit) as stop:
        program.main([])
    assert stop.value.code == 2
    assert capsys.readouterr().out == ""


def test_an_error_of_the_system_names_the_file_and_the_way_out(tmp_path, capsys):
    folder = tmp_path / "my folder"
    (folder / "manifest.json").mkdir(parents=True)
    arguments = ["fer2013", "--images", "x", "--votes", str(folder), "--out", str(tmp_path / "o")]
    assert program.main(arguments) == 2
    assert capsys.readouterr().err == f"error: {folder}: Is a directory; check the path\n"


@pytest.mark.parametrize("command", ["fer2013", "folders", "synthetic", "inspect"])
def test_help_shows_an_example(command, capsys):
    with pytest.raises(SystemExit) as stop:
        program.main([command, "--help"])
    assert stop.value.code == 0
    assert f"example: python -m data_prep {command}" in " ".join(capsys.readouterr().out.split())


def test_a_fault_of_ours_leaves_its_traceback_in_a_file(tmp_path, capsys, monkeypatch):
    def fail(**_):
        raise ZeroDivisionError("ours")

    monkeypatch.setattr(program, "prepare_synthetic", fail)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert program.main(["synthetic", "--out", str(tmp_path / "out")]) == 1
    (log,) = tmp_path.glob("data_prep-*.log")
    assert str(log) in capsys.readouterr().err
    assert "ZeroDivisionError: ours" in log.read_text()


def test_ctrl_c_leaves_nothing_behind(tmp_path, capsys, monkeypatch):
    def interrupt(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("data_prep.writer.pq.write_table", interrupt)
    arguments = ["synthetic", "--images", "300", "--out", str(tmp_path / "out")]
    assert program.main([*arguments, "--no-near-duplicates"]) == 130
    assert "interrupted" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_program_runs_as_a_module(synthetic_dataset, capsys, monkeypatch):
    monkeypatch.delitem(sys.modules, "data_prep.__main__")
    monkeypatch.setattr(sys, "argv", ["data_prep", "inspect", str(synthetic_dataset), "--json"])
    with pytest.raises(SystemExit) as stop:
        runpy.run_module("data_prep", run_name="__main__")
    assert stop.value.code == 0
    assert json.loads(capsys.readouterr().out)["name"] == "synthetic"


def test_the_ways_to_make_pictures_square_are_listed_and_others_refused(tmp_path, capsys):
    with pytest.raises(SystemExit):
        program.main(["images", "--help"])
    assert f"--fit {{{','.join(FITS)}}}" in " ".join(capsys.readouterr().out.split())
    with pytest.raises(SystemExit) as stop:
        program.main(["images", str(tmp_path), "--out", str(tmp_path / "out"), "--fit", "squash"])
    assert stop.value.code == 2
    assert "argument --fit: invalid choice: 'squash'" in capsys.readouterr().err
