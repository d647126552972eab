"""What a sweep trained again is counted from the notes of its training, and judged."""

import json

import pytest

from benchmarks.__main__ import main
from benchmarks.week import RUN, TRIALS, judge
from benchmarks.week_count import Note, Repeat, intervals, read_notes, repeats
from benchmarks.week_training import NOTES, train
from tune.run.directory import LEDGER_FILE


def notes_of(*lines):
    """Notes of trial 1 from pairs of a word with its epoch, and a time."""
    return [
        Note(what=what, number=1, epoch=int(epoch), time=time)
        for (what, epoch), time in ((line.split(), time) for line, time in lines)
    ]


KILLED = notes_of(
    ("begun 0", 0), ("trained 1", 1), ("trained 2", 2), ("trained 3", 3), ("trained 4", 4),
    ("begun 2", 10), ("trained 3", 11), ("trained 4", 12), ("trained 5", 13),
)  # fmt: skip


def test_epochs_after_the_last_checkpoint_of_a_killed_training_are_counted():
    assert repeats(KILLED) == [Repeat(number=1, after=2, epochs=2, seconds=2)]
    assert repeats(KILLED[:5]) == []
    assert repeats([*KILLED[:5], *notes_of(("begun 4", 10), ("trained 5", 11))]) == []


def test_a_training_that_is_killed_before_its_first_checkpoint_lost_what_it_trained():
    again = notes_of(("begun 2", 20), ("trained 3", 21))
    assert repeats([*KILLED, *again])[1:] == [Repeat(number=1, after=2, epochs=3, seconds=3)]


def test_a_training_cannot_begin_after_an_epoch_that_was_never_trained():
    with pytest.raises(ValueError, match="trial 1 begins after epoch 9, never trained"):
        repeats([*KILLED, *notes_of(("begun 9", 20))])


def test_an_interval_lies_between_two_checkpoints_of_the_same_process():
    assert intervals(KILLED, {1: [1.1, 2.1, 12.5, 15.0]}) == [1.0, 2.5]


def write_sweep(folder, *, continues_after=2):
    """Write ledger and notes of trials that stop after epoch 2; return the times of checkpoints.

    The first trial continues after another epoch than 2, from which it has a checkpoint.
    """
    events, notes, written = [{"event": "sweep_started", "spec": "", "time": 0.0}], [], {}
    for place in range(1, TRIALS + 1):
        trial, start = f"t{place}", 100.0 * place
        begin = continues_after if place == 1 else 2
        events.append({
            "event": "trial_proposed", "trial": trial, "configuration_id": trial, "number": place,
            "name": trial, "phase": "search", "replicate": 0, "config": {"place": place},
            "epochs": 3, "time": 0.0,
        })  # fmt: skip
        own = [("begun", 0, 0), ("trained", 1, 1), ("trained", 2, 2), ("begun", begin, 10)]
        own += [("trained", epoch, 10 + epoch) for epoch in range(begin + 1, 4)]
        notes += [
            {"what": what, "number": place, "epoch": epoch, "time": start + time}
            for what, epoch, time in own
        ]
        values = {"val_accuracy": 0.5, "seconds": 1.0}
        events += [
            {"event": "measurement", "trial": trial, "epoch": epoch, "time": 1.0, "values": values}
            for epoch in (1, 2, 3)
        ]
        end = {"event": "trial_ended", "status": "COMPLETED", "reason": "", "time": 2.0}
        events.append({**end, "trial": trial})
        written[trial] = [start + 1.1, start + 2.2]
    (folder / RUN).mkdir(parents=True)
    for path, lines in ((RUN / LEDGER_FILE, events), (NOTES, notes)):
        (folder / path).write_text("".join(json.dumps(line) + "\n" for line in lines))
    return written


def judged(folder, written):
    return judge(folder, written, epochs=3, details={})


def test_what_is_trained_again_within_a_checkpoint_interval_is_a_result(tmp_path):
    result = judged(tmp_path, write_sweep(tmp_path, continues_after=1))
    assert result.ours == pytest.approx(1 + 1 / (3 * TRIALS))
    assert result.details["most seconds of a trial that were trained again after a stop"] == 1
    assert result.details["longest seconds between two checkpoints"] == 1.1
    assert result.details["epochs"] == 3 * TRIALS
    assert result.details["epochs trained again"] == 1
    assert result.details["trials completed"] == TRIALS


def test_what_is_trained_again_beyond_a_checkpoint_interval_is_no_result(tmp_path):
    written = write_sweep(tmp_path, continues_after=0)
    with pytest.raises(RuntimeError, match="trained again beyond a checkpoint interval"):
        judged(tmp_path, written)


@pytest.mark.parametrize(
    ("file", "word", "cause"),
    [
        (RUN / LEDGER_FILE, "trial_ended", "trials are lost"),
        (RUN / LEDGER_FILE, "measurement", "are not those that were trained"),
        (NOTES, '"epoch": 3', "are not those that were trained"),
    ],
)
def test_a_sweep_that_lost_something_is_no_result(tmp_path, file, word, cause):
    written = write_sweep(tmp_path)
    *_, last = (line for line in (tmp_path / file).read_text().splitlines() if word in line)
    whole = (tmp_path / file).read_text()
    (tmp_path / file).write_text(whole.replace(last + "\n", ""))
    with pytest.raises(RuntimeError, match=cause):
        judged(tmp_path, written)


def test_the_training_notes_each_epoch_and_continues_from_its_state(tmp_path, monkeypatch):
    monkeypatch.setattr("time.sleep", lambda _seconds: None)  # An epoch only sleeps.
    folder = str(tmp_path)
    *_, (_, state) = train(place=1, epochs=2, folder=folder)
    assert len(list(train(place=1, epochs=3, folder=folder, state=state))) == 1
    notes = [(note.what, note.epoch) for note in read_notes(tmp_path / NOTES)]
    assert notes == [("begun", 0), ("trained", 1), ("trained", 2), ("begun", 2), ("trained", 3)]


def test_slots_are_for_the_week_only(capsys):
    with pytest.raises(SystemExit) as end:
        main(["own", "--slots", "3"])
    assert end.value.code == 2
    assert "own takes no --slots; leave it out" in capsys.readouterr().err
