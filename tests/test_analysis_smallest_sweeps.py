"""The smallest sweeps there are: every table is made or says in one line why it is not."""

import warnings
from contextlib import suppress

import numpy as np
import pytest

from analysis.rendering.render import to_markdown
from analysis.report.figures import FIGURES
from analysis.report.report import write_report
from analysis.report.summary import found, unknown
from analysis.report.tables import NAMED, TABLES
from analysis.run.dataset import DatasetLeftOutError
from analysis.run.run_data import read_run
from analysis.selection.statistics import corrected_for_selection
from analysis.statistics.estimate import NotKnownError
from tests.support.discs import CLASSES
from tests.support.run_factory import Factory

PLAIN = {"faults": False, "early_stopping": False}
LABELS = np.random.default_rng(1).integers(0, 4, 400)


def same_skill(path, *, labels=LABELS, skill=0.5, configurations=3, **changes):
    """Make a run whose trainings are equally good on validation pictures with these labels."""
    factory = Factory(
        configurations=configurations,
        replicates=1,
        skill=skill,
        val_labels=tuple(labels.tolist()),
        **PLAIN,
        **changes,
    )
    return factory.write(path)


SWEEPS = {
    "one trial": lambda path: Factory(configurations=1, replicates=1, **PLAIN).write(path),
    "one configuration": lambda path: Factory(configurations=1, replicates=3, **PLAIN).write(path),
    "two configurations": lambda path: Factory(configurations=2, replicates=1, **PLAIN).write(path),
    "two replicated": lambda path: Factory(configurations=2, replicates=2, **PLAIN).write(path),
    "none completed": lambda path: same_skill(path, stopped_after=3),
    "one, not completed": lambda path: same_skill(path, stopped_after=3, configurations=1),
    "all right": lambda path: same_skill(path, skill=1.6),
    "one class, all right": lambda path: same_skill(path, labels=np.full(400, 2), skill=1.6),
    "a class without pictures": lambda path: same_skill(path, labels=LABELS % 3),
    "one picture": lambda path: same_skill(path, labels=LABELS[:1]),
}


@pytest.mark.parametrize("name", SWEEPS)
def test_every_table_sentence_and_caption_of_the_smallest_sweeps_is_made(name, tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        run = read_run(SWEEPS[name](tmp_path / "run"))
        made, reasons = {}, []
        for what, make in NAMED.items():
            try:
                made[what] = make(run)
            except NotKnownError as reason:
                reasons.append(str(reason))
        assert all(len(reason.splitlines()) == 1 for reason in reasons)
        assert {"models", "selection", "classes"} <= set(made)
        tables = [t for what in TABLES.keys() - made for t in TABLES[what](run)]
        assert sum(table.name.startswith("by_") for table in tables) == len(run.info.searched)
        told = [*found(run), *unknown(run), *map(to_markdown, [*made.values(), *tables])]
        for make in FIGURES.values():
            with suppress(DatasetLeftOutError):
                told += [drawing.caption for drawing in make(run)]
    assert not any(word in text.split() for text in told for word in ("nan", "<NA>", "inf"))


@pytest.mark.long
@pytest.mark.parametrize("name", SWEEPS)
def test_the_smallest_sweeps_have_a_report(name, tmp_path):
    run = read_run(SWEEPS[name](tmp_path / "run"))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        written = write_report(run, tmp_path / "out", lambda _: None)
    assert written.page.is_file()
    assert written.tables >= 3


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("one trial", "only one fully trained configuration"),
        ("one configuration", "only one fully trained configuration"),
        ("none completed", "no trial was trained to the end"),
        ("one, not completed", "no trial was trained to the end"),
        ("one picture", r"validation has too few pictures \(1\) to judge a difference"),
    ],
)
@pytest.mark.parametrize("table", ["best", "comparisons"])
def test_comparisons_say_what_is_missing(table, name, reason, tmp_path):
    run = read_run(SWEEPS[name](tmp_path / "run"))
    with pytest.raises(NotKnownError, match=reason):
        NAMED[table](run)
    assert list(TABLES[table](run)) == []


@pytest.mark.parametrize("name", ["two configurations", "two replicated"])
def test_two_configurations_are_compared(name, tmp_path):
    run = read_run(SWEEPS[name](tmp_path / "run"))
    assert len(NAMED["best"](run).frame) == len(NAMED["comparisons"](run).frame) == 2


def test_models_that_answer_every_picture_alike_may_still_differ_on_others(tmp_path):
    frame = NAMED["best"](read_run(SWEEPS["all right"](tmp_path / "run"))).frame
    assert (frame["difference"] == 0).all()
    # At least as far as one picture in 400, in standard errors of a one-sided 5 %.
    assert (frame["difference_low"] <= -1.64 / 400).all()
    assert (frame["difference_high"] >= 1.64 / 400).all()


def test_a_class_without_pictures_is_missing_in_the_table_of_classes(tmp_path):
    run = read_run(SWEEPS["a class without pictures"](tmp_path / "run"))
    frame = NAMED["classes"](run).frame
    empty = frame[frame["n"] == 0]
    assert empty["class"].tolist() == [CLASSES[3]] * 3
    assert empty[["recall", "f1"]].isna().all(axis=None)
    assert frame.loc[frame["n"] > 0, ["recall", "f1"]].notna().all(axis=None)


def test_draws_of_every_picture_do_not_spoil_the_corrected_accuracy():
    # Of two pictures half of the draws hold both; the others judge on the one left out.
    value, low, high = corrected_for_selection(np.array([[1, 1], [0, 0]], bool))
    assert (value, low, high) == (1, 1, 1)
