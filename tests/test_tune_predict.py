"""`python -m tune predict`: new pictures get the predictions that validation pictures got."""

import csv
import io
import json
import shutil
import struct
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from data_prep.pictures import SUFFIXES, PictureError, read_gray, resize_pixels
from data_prep.places import members
from data_prep.rejections import Rejections
from models import new_pictures
from models.build import build_model
from models.checkpoint import CheckpointError, load, save
from models.classifier import Classifier, classifier_state
from models.config import TrainConfig
from models.new_pictures import Prediction, find_pictures
from tests.support.ledgers import events_of
from tests.support.picture_factory import CLASSES, SHAPE, make_dataset
from tests.support.sweeps import LOSS, new_sweep, small_spec, train
from tune.__main__ import main
from tune.commands.predict import find_weights
from tune.execution.executor import SweepData
from tune.execution.in_process import InProcessExecutor
from tune.run.directory import RunError, best_weights
from tune.run.ledger import Ledger
from tune.run.tables import read_predictions
from tune.session.run_directory import write_spec
from tune.session.status import read_sweep
from tune.sweep.spec import parse_spec
from tune.sweep.sweep import Sweep

SPEC = {
    "name": "small",
    "data": "made",
    "objective": {"metric": "val_accuracy", "at": "last"},
    "fixed": {
        "family": "plain", "channels": 2, "batch_size": 16, "epochs": 2, "test_time_flip": True,
    },
    "space": {"kernel_size": [1, 2, 3]},
}  # fmt: skip


@pytest.fixture(scope="module")
def dataset():
    return make_dataset(val=12)


@pytest.fixture(scope="module")
def run(dataset, tmp_path_factory):
    """A run of three trained trials that keeps the weights of the incumbent only."""
    run = tmp_path_factory.mktemp("runs") / "small run, of mine"
    run.mkdir()
    spec = parse_spec(SPEC)
    write_spec(run, spec)
    with Ledger(run) as ledger:
        sweep = Sweep(spec, fingerprint="made", commit=ledger.append)
        sweep.begin()
        data = SweepData(dataset=dataset)
        InProcessExecutor().execute(sweep, run, data, on_step=lambda: None)
        sweep.close()
    for trial in others(run):
        best_weights(run, trial).unlink()
    return run


def incumbent(run):
    return read_sweep(run).incumbent.id


def others(run):
    return [trial for trial in read_sweep(run).trials if trial != incumbent(run)]


@pytest.fixture(scope="module")
def folder(dataset, tmp_path_factory):
    """The validation pictures as files: gray as they are, or RGB and of twice the size."""
    folder = tmp_path_factory.mktemp("pictures") / "new pictures, mine"
    (folder / "below").mkdir(parents=True)
    (folder / "album.png").mkdir()
    for number, row in enumerate(dataset.rows("val")):
        picture = Image.fromarray(dataset.pixels[row])
        if number % 2:
            picture = picture.convert("RGB").resize((32, 24), Image.Resampling.NEAREST)
        picture.save(folder / ("below" if number > 9 else ".") / f"{number:02}.PNG")
    return folder


def rows(text):
    return list(csv.DictReader(io.StringIO(text)))


def test_a_folder_gets_the_answers_that_validation_got(run, folder, dataset, capsys):
    assert main(["predict", str(run), str(folder), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    expected = read_predictions(run, incumbent(run))["probabilities"].to_pylist()
    found = {one["picture"][-6:-4]: one for one in told["predictions"]}
    name = read_sweep(run).incumbent.name
    assert (told["trial"], told["name"], told["epoch"]) == (incumbent(run), name, 2)
    assert len(found) == len(expected) == 12
    for number, probabilities in enumerate(expected):
        one = found[f"{number:02}"]
        assert list(one["probabilities"].values()) == pytest.approx(probabilities, abs=1e-6)
        assert one["class"] == dataset.manifest.classes[int(np.argmax(probabilities))]
    assert told["left_out"] == []


def test_csv_has_a_row_for_each_picture_in_the_order_of_their_names(run, folder, capsys):
    assert main(["predict", str(run), str(folder)]) == 0
    found = rows(capsys.readouterr().out)
    assert list(found[0]) == ["picture", "class", *CLASSES]
    assert [row["picture"] for row in found] == sorted(row["picture"] for row in found)
    assert len(found) == 12
    assert len(capsys.readouterr().err) == 0
    for row in found:
        assert all(len(row[name]) == len("0.1234") for name in CLASSES)
        figures = {name: float(row[name]) for name in CLASSES}
        assert figures[row["class"]] == max(figures.values())
        assert sum(figures.values()) == pytest.approx(1, abs=2e-4)


def test_one_picture_is_enough_and_the_trial_may_be_named(run, folder, capsys):
    picture = folder / "00.PNG"
    assert main(["predict", str(run), str(picture), "--trial", incumbent(run)]) == 0
    assert [row["picture"] for row in rows(capsys.readouterr().out)] == [str(picture)]


def test_own_code_is_imported_for_predictions_if_the_user_says_so(run, folder, monkeypatch):
    trusts = []
    monkeypatch.setattr(
        "tune.commands.predict.open_code", lambda *_, trust_code: trusts.append(trust_code)
    )
    picture = str(next(folder.glob("*.PNG")))
    for words in ([], ["--trust-code"]):
        assert main(["predict", str(run), picture, *words]) == 0
    assert trusts == [False, True]


def test_the_named_trial_is_the_one_that_answers(run, folder, capsys):
    """Another trial's weights stand beside those of the incumbent for as long as this test."""
    state = load(best_weights(run, incumbent(run)))
    other = others(run)[0]
    save(best_weights(run, other), state | {"epoch": 7})
    try:
        arguments = ["predict", str(run), str(folder / "00.PNG"), "--trial", other, "--json"]
        assert main(arguments) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["trial"], told["epoch"]) == (other, 7)
    finally:
        best_weights(run, other).unlink()


def refusal(capsys, *arguments):
    assert main(["predict", *map(str, arguments)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("\n") == 1
    return told.err


def test_what_is_no_run_or_no_trial_is_refused(run, folder, tmp_path, capsys):
    assert "is not a run directory" in refusal(capsys, tmp_path, folder)
    message = refusal(capsys, run, folder, "--trial", "nobody")
    assert "has no trial nobody; `python -m analysis table" in message
    other = others(run)[0]
    message = refusal(capsys, run, folder, "--trial", other)
    assert f"keeps no weights of trial {other}; --trial can be {incumbent(run)}" in message


def write_run(run, ledger, spec):
    """Write the run directory of a sweep that keeps the weights of all its trials."""
    run.mkdir()
    write_spec(run, spec)
    with Ledger(run) as file:
        for event in events_of(ledger):
            file.append(event)
    for trial in read_sweep(run).trials:
        best_weights(run, trial).parent.mkdir(parents=True)
        best_weights(run, trial).touch()
    return run


GRID = {"searcher": {"name": "grid"}, "scheduler": {"name": "none"}}


@pytest.mark.parametrize(
    ("objective", "expected"),
    [
        ({}, 0),
        ({"objective": {"metric": "val_accuracy", "at": "last"}}, 1),
        (LOSS, 0),
    ],
)
def test_the_incumbent_is_best_in_the_direction_of_the_objective(tmp_path, objective, expected):
    fixed = {**small_spec().fixed, "epochs": 2}
    spec = small_spec(fixed=fixed, space={"kernel_size": [3, 5, 7]}, **GRID, **objective)
    sweep, ledger = new_sweep(spec)
    trials = [train(sweep, *accuracies) for accuracies in ((0.8, 0.3), (0.5, 0.6), (0.2, 0.5))]
    run = write_run(tmp_path / "my run", ledger, spec)
    assert find_weights(run) == best_weights(run, trials[expected].id)
    assert find_weights(run, trials[1].id) == best_weights(run, trials[1].id)


def test_a_refusal_lists_the_trials_whose_weights_are_kept(tmp_path):
    spec = small_spec(fixed={**small_spec().fixed, "epochs": 1}, **GRID)
    sweep, ledger = new_sweep(spec)
    ids = [train(sweep, 0.5).id for _ in range(3)]
    run = write_run(tmp_path / "run", ledger, spec)
    best_weights(run, ids[0]).rename(best_weights(run, ids[0]).with_name("last.pt"))
    kept = ", ".join(sorted(ids[1:]))
    with pytest.raises(RunError, match=f"run keeps no weights of trial {ids[0]}; .* be {kept}$"):
        find_weights(run)
    with pytest.raises(RunError, match="run has no trial e; `python -m analysis table"):
        find_weights(run, "e")
    for trial in ids[1:]:
        best_weights(run, trial).unlink()
    with pytest.raises(RunError, match="--trial can be none, because no weights are kept"):
        find_weights(run)


def test_a_run_without_a_trained_trial_says_so(tmp_path):
    _, ledger = new_sweep(small_spec())
    run = write_run(tmp_path / "my run", ledger, small_spec())
    with pytest.raises(RunError, match=r"no trained trial yet; see `.* status '"):
        find_weights(run)


def huge_png(path):
    """A PNG of a million megapixels in a few bytes."""

    def chunk(kind, content):
        checksum = zlib.crc32(kind + content)
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", checksum)

    header = chunk(b"IHDR", struct.pack(">IIBBBBB", 10**6, 10**6, 8, 0, 0, 0, 0))
    data = chunk(b"IDAT", zlib.compress(b"\0" * 1000)) + chunk(b"IEND", b"")
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + header + data)


def test_what_is_no_picture_is_refused(run, folder, tmp_path, capsys):
    assert "does not exist; give a picture" in refusal(capsys, run, tmp_path / "nothing.png")
    assert "holds no picture (.png," in refusal(capsys, run, tmp_path)
    assert "no picture of a known kind" in refusal(capsys, run, __file__)
    damaged = tmp_path / "cut.png"
    damaged.write_bytes((folder / "00.PNG").read_bytes()[:90])
    assert "cut.png cannot be read: damaged (" in refusal(capsys, run, damaged)
    huge_png(tmp_path / "huge.png")
    assert "huge.png cannot be read: more than 100 megapixels" in refusal(
        capsys, run, tmp_path / "huge.png"
    )


def test_a_bad_picture_among_good_ones_is_told_and_left_out(run, folder, tmp_path, capsys):
    (tmp_path / "a.png").write_bytes((folder / "00.PNG").read_bytes())
    (tmp_path / "b.png").write_text("no picture")
    (tmp_path / "c.png").write_bytes((folder / "02.PNG").read_bytes())
    assert main(["predict", str(run), str(tmp_path)]) == 2
    told = capsys.readouterr()
    assert [row["picture"][-5:] for row in rows(told.out)] == ["a.png", "c.png"]
    assert "b.png cannot be read: no picture of a known kind" in told.err
    assert main(["predict", str(run), str(tmp_path), "--json"]) == 2
    told = json.loads(capsys.readouterr().out)
    assert [one["picture"][-5:] for one in told["predictions"]] == ["a.png", "c.png"]
    (left_out,) = told["left_out"]
    assert left_out["picture"] == str(tmp_path / "b.png")
    assert left_out["reason"].startswith("no picture of a known kind")


def test_only_bad_pictures_give_no_table_and_two(run, tmp_path, capsys):
    (tmp_path / "a.png").write_text("no picture")
    (tmp_path / "b.png").write_text("no picture")
    assert main(["predict", str(run), str(tmp_path)]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert told.err.count("cannot be read") == 2


def test_pictures_of_every_kind_become_the_same_gray(tmp_path):
    gray = np.tile(np.arange(0, 240, 15, dtype=np.uint8), (16, 1))
    picture = Image.fromarray(gray)
    rgba = picture.convert("RGBA")
    rgba.putpixel((0, 0), (9, 9, 9, 0))
    kinds = {
        "gray.png": picture,
        "rgb.bmp": picture.convert("RGB"),
        "palette.png": picture.convert("P"),
        "rgba.png": rgba,
        "deep.png": Image.fromarray(gray.astype(np.uint16) * 257),
        "gray.webp": picture.convert("RGB"),
        "gray.jpg": picture,
        "cmyk.jpg": picture.convert("CMYK"),
    }
    for name, image in kinds.items():
        exact = {"lossless": True} if name.endswith("webp") else {"quality": 100}
        image.save(tmp_path / name, **exact)
        found = read_gray(tmp_path / name).astype(int)
        if name == "rgba.png":
            assert found[0, 0] == 255  # Transparent is white.
            found[0, 0] = gray[0, 0]
        # JPEG rounds, through another colour space too where it holds CMYK.
        assert np.abs(found - gray).max() <= (3 if name.endswith("jpg") else 0), name


def test_a_picture_taken_sideways_is_turned_upright(tmp_path):
    gray = np.arange(0, 240, 40, dtype=np.uint8).reshape(2, 3)
    exif = Image.Exif()
    exif[0x0112] = 6  # To be turned by a quarter, clockwise.
    Image.fromarray(gray).save(tmp_path / "sideways.png", exif=exif)
    assert np.array_equal(read_gray(tmp_path / "sideways.png"), np.rot90(gray, k=-1))


def test_a_picture_is_averaged_where_it_gets_smaller():
    checks = np.indices((64, 64)).sum(axis=0) % 2 * 255
    small = resize_pixels(checks.astype(np.uint8), (16, 16))
    assert small.min() >= 127
    assert small.max() <= 128
    assert resize_pixels(small, (40, 24)).shape == (40, 24)


def test_a_file_that_is_gone_is_a_picture_error(tmp_path):
    with pytest.raises(PictureError, match="No such file"):
        read_gray(tmp_path / "gone.png")


def test_many_pictures_are_classified_a_few_at_a_time(run, folder, capsys, monkeypatch):
    assert main(["predict", str(run), str(folder)]) == 0
    at_once = capsys.readouterr().out
    sizes, probabilities = [], Classifier.probabilities

    def counted(self, pixels):
        sizes.append(len(pixels))
        return probabilities(self, pixels)

    monkeypatch.setattr(Classifier, "probabilities", counted)
    monkeypatch.setattr(new_pictures, "AT_ONCE", 5)
    assert main(["predict", str(run), str(folder)]) == 0
    assert sizes == [5, 5, 2]
    for one, other in zip(rows(at_once), rows(capsys.readouterr().out), strict=True):
        assert one["picture"] == other["picture"]
        for name in CLASSES:
            assert float(one[name]) == pytest.approx(float(other[name]), abs=2e-4)


def test_of_equal_probabilities_the_first_class_is_predicted(tmp_path):
    prediction = Prediction(picture=tmp_path, probabilities={"c": 0.2, "b": 0.4, "a": 0.4})
    assert prediction.label == "b"


def test_pictures_are_found_below_a_folder_in_the_order_of_their_paths(tmp_path):
    names = ["b/2.jpg", "a.PNG", "b/10.webp", "c d.JPEG", "B.bmp", "e.svg", "f.png.txt"]
    (tmp_path / "b").mkdir()
    for name in names:
        (tmp_path / name).touch()
    found = [str(path.relative_to(tmp_path)) for path in find_pictures(tmp_path)]
    assert found == ["B.bmp", "a.PNG", "b/10.webp", "b/2.jpg", "c d.JPEG"]


@pytest.mark.parametrize(("pictures", "shown"), [(2, True), (1, False)])
def test_progress_is_shown_on_a_terminal_where_there_is_more_than_one_picture(
    run, folder, tmp_path, capsys, monkeypatch, pictures, shown
):
    monkeypatch.setenv("FORCE_COLOR", "1")  # Rich takes it for a terminal.
    for number in range(pictures):
        shutil.copy(folder / f"0{number}.PNG", tmp_path)
    assert main(["predict", str(run), str(tmp_path)]) == 0
    told = capsys.readouterr()
    assert ("classifying" in told.err) is shown
    assert len(rows(told.out)) == pictures


@pytest.mark.parametrize("as_json", [True, False])
def test_on_the_terminal_that_gets_the_table_no_progress_is_shown(
    run, folder, capsys, monkeypatch, as_json
):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    assert main(["predict", str(run), str(folder), *["--json"] * as_json]) == 0
    assert ("classifying" in capsys.readouterr().err) is as_json


def test_a_damaged_checkpoint_is_the_user_s_to_mend(run, folder, capsys):
    path = best_weights(run, incumbent(run))
    whole = path.read_bytes()
    try:
        path.write_bytes(whole[:-100])
        assert "best.pt is damaged" in refusal(capsys, run, folder)
    finally:
        path.write_bytes(whole)


def test_a_classifier_comes_back_from_its_file(dataset, tmp_path):
    manifest = replace(dataset.manifest, classes=("z", "a", "m"))
    config = TrainConfig(family="plain", channels=2, fold=1, seed=3)
    model = build_model(config, classes=3, image_shape=SHAPE)
    path = tmp_path / "my best.pt"
    save(path, classifier_state(config, manifest, epoch=4, weights=model.state_dict()))
    classifier = Classifier.read(path)
    assert (classifier.config, classifier.manifest, classifier.epoch) == (config, manifest, 4)
    pixels = dataset.pixels[:5]
    gray = torch.from_numpy(pixels.astype(np.float32) / 255)[:, None]
    with torch.inference_mode():
        logits = model.eval()((gray - manifest.mean) / manifest.std)
    expected = logits.softmax(dim=1).numpy()
    np.testing.assert_allclose(classifier.probabilities(pixels), expected, atol=1e-5)


def test_a_checkpoint_without_its_dataset_is_no_classifier(tmp_path):
    save(tmp_path / "last.pt", {"epoch": 1, "weights": {}})
    with pytest.raises(CheckpointError, match=r"last\.pt does not say what it was trained on"):
        Classifier.read(tmp_path / "last.pt")


def test_a_checkpoint_that_lacks_a_weight_classifies_nothing(dataset, tmp_path):
    config = TrainConfig(family="plain", channels=2)
    weights = build_model(config, classes=3, image_shape=SHAPE).state_dict()
    del weights["head.5.bias"]
    state = classifier_state(config, dataset.manifest, epoch=4, weights=weights)
    save(tmp_path / "best.pt", state)
    with pytest.raises(RuntimeError, match=r"head\.5\.bias"):
        Classifier.read(tmp_path / "best.pt")


def test_a_bad_picture_before_good_ones_does_not_cost_them_their_header(
    run, folder, tmp_path, capsys
):
    (tmp_path / "a.png").write_text("no picture")
    (tmp_path / "b.png").write_bytes((folder / "00.PNG").read_bytes())
    (tmp_path / "c.png").write_bytes((folder / "02.PNG").read_bytes())
    assert main(["predict", str(run), str(tmp_path)]) == 2
    told = capsys.readouterr()
    assert told.out.split("\n")[0] == f"picture,class,{','.join(CLASSES)}"
    assert [row["picture"][-5:] for row in rows(told.out)] == ["b.png", "c.png"]
    reason = "no picture of a known kind"
    assert told.err.startswith(f"error: {tmp_path / 'a.png'} cannot be read: {reason}")


def test_answers_that_are_read_by_a_program_come_without_progress(run, folder, capsys):
    assert main(["predict", str(run), str(folder)]) == 0
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("arguments", [["predict"], ["predict", "runs/quick"]])
def test_a_command_that_is_not_whole_ends_with_2(arguments, capsys):
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert "usage: python -m tune" in capsys.readouterr().err


def test_a_trial_is_looked_for_before_the_pictures(tmp_path, capsys):
    assert "is not a run directory" in refusal(capsys, tmp_path / "no run", tmp_path / "no.png")


def test_a_classifier_is_put_on_the_device_that_is_asked_for(dataset, tmp_path):
    config = TrainConfig(family="plain", channels=2)
    weights = build_model(config, classes=3, image_shape=SHAPE).state_dict()
    save(
        tmp_path / "best.pt",
        classifier_state(config, dataset.manifest, epoch=4, weights=weights),
    )
    classifier = Classifier.read(tmp_path / "best.pt", "meta")
    assert {p.device.type for p in classifier.model.parameters()} == {"meta"}
    assert classifier.device == torch.device("meta")


def test_a_folder_is_walked_as_when_a_dataset_is_prepared(tmp_path, capsys):
    for name in ("a/1.TIF", "a/2.gif", "a/._2.gif", "__MACOSX/3.png", "a/note.txt", "a/4.heic"):
        (tmp_path / "set" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "set" / name).touch()
    (tmp_path / "aside").mkdir()
    (tmp_path / "aside" / "5.pgm").touch()
    (tmp_path / "set" / "b").symlink_to(tmp_path / "aside")
    (tmp_path / "set" / "a" / "loop").symlink_to("..")
    (tmp_path / "set" / "gone").symlink_to("nowhere")
    found = [str(path.relative_to(tmp_path / "set")) for path in find_pictures(tmp_path / "set")]
    assert found == ["a/1.TIF", "a/2.gif", "b/5.pgm", "gone"]
    members_of = members(tmp_path / "set", Rejections(skip_bad=True))
    prepared = [str(member.path) for member in members_of if member.path.suffix.lower() in SUFFIXES]
    assert prepared == found[:3]
    assert capsys.readouterr().err == (
        "warning: 2 files are not pictures of a known kind and not read: 1 .heic, 1 .txt\n"
    )
