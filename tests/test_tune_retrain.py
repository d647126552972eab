import csv
import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import yaml

from data_prep.reader import read_dataset
from data_prep.rejections import BadInputError
from models.checkpoint import load
from models.file_hash import content_hash
from tests.support.in_process import (  # noqa: F401 - fixtures, used by name
    extend,
    few_pictures_fixture,
    finished_run_fixture,
    kfold,
    retrain,
    run_fixture,
    start,
)
from tune.commands.retrain import Request, comparison
from tune.commands.test import open_test
from tune.run.directory import (
    GROUPS_FILE,
    INITIAL_FILE,
    LEDGER_FILE,
    SPEC_FILE,
    RunError,
    best_weights,
)
from tune.run.ledger import read_events
from tune.run.tables import read_predictions
from tune.session.run_directory import find_dataset, read_provenance, read_spec
from tune.sweep.spec import SpecError, parse_spec
from tune.sweep.sweep import Sweep

BORED = {"oversample": "label=bored:4"}


def incumbent(run):
    return Sweep(read_spec(run), fingerprint="", events=read_events(run)).incumbent


@pytest.fixture
def ages(tmp_path, few_pictures):
    """A CSV that calls every fourth picture a child, and says nothing of the last ten."""
    path = tmp_path / "ages.csv"
    with path.open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["image_id", "age"])
        names = read_dataset(few_pictures).image_ids.tolist()
        writer.writerows(
            [name, "adult" if row % 4 else "child"] for row, name in enumerate(names[:-10])
        )
        writer.writerow(["nobody/1", "child"])
        writer.writerow([names[-1], ""])
    return path


def test_a_retrained_run_stands_on_its_own_and_says_where_it_comes_from(
    run, ages, tmp_path, capsys
):
    first = incumbent(run)
    request = Request(run=run, sampling={"oversample": "age=child:4"}, groups=ages, epochs=2)
    made, sweep = retrain(request, tmp_path / "my runs")
    told = capsys.readouterr().err
    assert "1 ids match no picture, 9 pictures are missing from it, empty cells: 1 in age" in told
    assert "age=child: " in told
    assert made == tmp_path / "my runs" / "tiny-retrain"
    assert read_provenance(made)["origin"] == {"run": str(run.resolve()), "trial_id": first.id}
    fixed = yaml.safe_load((made / SPEC_FILE).read_text())["fixed"]
    assert fixed["oversample"] == "age=child:4"
    assert fixed["initial"] == content_hash(best_weights(run, first.id))
    assert fixed["groups"] == content_hash(ages)
    (trial,) = sweep.trials.values()
    assert (trial.epochs, trial.config["batch_size"]) == (2, first.config["batch_size"])
    lines = list(comparison(made, sweep))
    assert f"all validation pictures {first.best().values['val_accuracy']:.4f} to " in lines[0]
    assert "age=child 0." in lines[0]
    command = f"python -m analysis bias '{made}' --groups '{made / GROUPS_FILE}'"
    assert lines[1].endswith(f"`{command}`")

    shutil.rmtree(run)
    ages.unlink()
    assert (find_dataset(made, None).columns["age"] == "child").sum() > 40
    assert len(extend(made, overrides=["replicates=2"]).trials) == 2


def test_the_comparison_is_over_the_validation_pictures_that_both_predicted(run, tmp_path):
    made, sweep = retrain(Request(run=run, sampling=BORED), tmp_path)
    dataset = find_dataset(run, None)
    right = []
    for folder, trial in ((run, incumbent(run)), (made, sweep.incumbent)):
        rows = read_predictions(folder, trial.id).to_pylist()
        right.append({r["image_id"]: np.argmax(r["probabilities"]) == r["label"] for r in rows})
    val = np.flatnonzero(dataset.splits == "val")
    bored = dataset.manifest.classes.index("bored")
    parts = []
    for name, chosen in (
        ("all validation pictures", val),
        ("label=bored", val[dataset.labels[val] == bored]),
    ):
        then, now = (np.mean([one[i] for i in dataset.image_ids[chosen]]) for one in right)
        parts.append(f"{name} {then:.4f} to {now:.4f} (n {len(chosen):,})")
    first, second = comparison(made, sweep)
    assert first == f"validation accuracy before and after: {'; '.join(parts)}"
    assert second == f"by group, with intervals: `python -m analysis bias {made}`"
    for folder in (run, made):
        open_test(folder)
    assert next(comparison(made, sweep)) == first, "pictures of the test split do not count"


def test_validation_pictures_stay_what_they_were(run, tmp_path):
    made, sweep = retrain(Request(run=run, sampling=BORED), tmp_path)
    before, after = (
        read_predictions(run, incumbent(run).id),
        read_predictions(made, sweep.incumbent.id),
    )
    for column in ("image_id", "label", "split"):
        assert before[column].equals(after[column])


def test_it_starts_from_the_checkpoint_or_from_nothing(run, tmp_path):
    still = ("fixed.learning_rate=1e-9", "fixed.weight_decay=0")
    request = Request(run=run, sampling=BORED, overrides=still)
    from_there, _ = retrain(request, tmp_path)
    request = replace(request, from_scratch=True, name="scratch")
    from_nothing, _ = retrain(request, tmp_path)
    assert not (from_nothing / INITIAL_FILE).exists()
    request = replace(request, run=from_there, name="again", epochs=1)
    again, _ = retrain(request, tmp_path)
    assert "initial" in read_spec(from_there).fixed
    assert read_spec(again).fixed.keys() & {"initial", "epochs"} == {"epochs"}
    weights = [
        load(best_weights(one, incumbent(one).id))["weights"]
        for one in (run, from_there, from_nothing)
    ]
    name = next(name for name in weights[0] if name.endswith("weight"))
    assert np.allclose(weights[0][name], weights[1][name], atol=1e-6)
    assert not np.allclose(weights[0][name], weights[2][name], atol=1e-4)


def test_each_way_to_sample_is_a_trial_of_its_own(run, tmp_path):
    ways = [BORED, {"sample_weights": "label=bored:4"}, {"balance": "label"}, {}]
    found = {
        trial
        for number, sampling in enumerate(ways)
        for trial in retrain(Request(run=run, sampling=sampling, name=f"way{number}"), tmp_path)[
            1
        ].trials
    }
    assert len(found | {incumbent(run).id}) == 5


def test_what_cannot_be_retrained_is_refused_without_a_trace(run, ages, tmp_path):
    twice = tmp_path / "twice.csv"
    twice.write_text(ages.read_text() + ages.read_text().splitlines()[1] + "\n")
    nobody = tmp_path / "nobody.csv"
    dataset = find_dataset(run, None)
    test_row = dataset.image_ids[dataset.rows("test")[0]]
    nobody.write_text(f"image_id,age\n{test_row},child\n")
    child = {"oversample": "age=child:4"}
    before = sorted(tmp_path.rglob("*"))
    for sampling, options, error, message in (
        ({"oversample": "label=bred:4"}, {}, ValueError, "group of label, .* nearest is 'bored'"),
        (child, {}, ValueError, r"column of the pictures, but got 'age'"),
        ({"oversample": "label=bored"}, {}, ValueError, "oversample must be column=value:N"),
        (
            child,
            {"groups": twice},
            BadInputError,
            r"appears again; keep one row of each picture$",
        ),
        (child, {"groups": nobody}, RunError, "none of the .* training pictures has age=child"),
        (child, {"groups": tmp_path / "no.csv"}, FileNotFoundError, "no.csv"),
        (BORED, {"trial_id": "nobody"}, RunError, "has no trial nobody"),
        ({}, {"from_scratch": True}, RunError, "give one of them"),
    ):
        with pytest.raises(error, match=message):
            retrain(Request(run=run, sampling=sampling, **options), tmp_path)
    assert sorted(tmp_path.rglob("*")) == before


def test_weights_that_are_gone_are_told_with_what_is_left(run, tmp_path):
    first = incumbent(run)
    best_weights(run, first.id).unlink()
    other = next(path.parent.name for path in run.glob("checkpoints/*/best.pt"))
    with pytest.raises(
        RunError, match=f"weights of trial {first.id} are not kept; --trial can be {other}, "
    ):
        retrain(Request(run=run, sampling=BORED), tmp_path)


def test_weights_of_a_fold_or_of_another_checkpoint_are_not_started_from(run, tmp_path):
    folds, _ = kfold(run, tmp_path, folds=2, repeats=1)
    with pytest.raises(RunError, match=r"was trained on fold \d, so its weights were trained on"):
        retrain(Request(run=folds, sampling=BORED), tmp_path)
    made, _ = retrain(Request(run=run, sampling=BORED), tmp_path)
    with pytest.raises(
        RunError, match="started from weights that were trained on pictures of every fold"
    ):
        kfold(made, tmp_path, folds=2, repeats=1, name="again")
    with pytest.raises(SpecError, match="initial refers to a file of a retrained run"):
        start(
            parse_spec({**yaml.safe_load((made / SPEC_FILE).read_text()), "name": "copy"}), tmp_path
        )
    (made / INITIAL_FILE).write_bytes(best_weights(made, incumbent(made).id).read_bytes())
    shutil.rmtree(made / "checkpoints")
    with pytest.raises(ValueError, match="but this trial starts from"):
        extend(made, overrides=["replicates=2"])


def test_an_unfinished_run_is_refused(run, tmp_path):
    ledger = run / LEDGER_FILE
    lines = ledger.read_text().splitlines(keepends=True)
    events = [json.loads(line)["event"] for line in lines]
    ledger.write_text("".join(lines[: events.index("finalists_chosen")]))
    with pytest.raises(RunError, match="is not finished"):
        retrain(Request(run=run, sampling=BORED), tmp_path)


def test_each_group_is_counted_among_the_training_pictures(run, few_pictures, tmp_path, capsys):
    dataset = read_dataset(few_pictures)
    train = dataset.splits == "train"
    groups = dataset.manifest.classes[:2]
    sampling = {"oversample": ",".join(f"label={group}:2" for group in groups)}
    retrain(Request(run=run, sampling=sampling, from_scratch=True), tmp_path)
    told = capsys.readouterr().err.splitlines()
    for group in groups:
        count = int((dataset.columns["label"][train] == group).sum())
        assert f"label={group}: {count:,} of {train.sum():,} training pictures" in told
