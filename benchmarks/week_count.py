"""Counts what a sweep trained again after each stop, from the notes of its training code."""

import json
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Note:
    """A line of `benchmarks.week_training`."""

    what: str
    """``begun``: the training begins after ``epoch``; ``trained``: ``epoch`` was trained."""
    number: int
    """The trial."""
    epoch: int
    time: float
    """In seconds since 1970."""


@dataclass(frozen=True, kw_only=True)
class Repeat:
    """What a trial had to train again, because a process ended before it wrote a checkpoint."""

    number: int
    after: int
    """The epoch of the checkpoint that the training continued from; 0 without one."""
    epochs: int
    """Epochs that were trained after it, and had to be trained again."""
    seconds: float
    """From the end of that epoch, or the begin of the process if it wrote no checkpoint, to the end
    of the last of these epochs."""


def read_notes(path: Path) -> list[Note]:
    """Read the notes of all trials, in the order in which they were written."""
    return [Note(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def repeats(notes: Iterable[Note]) -> list[Repeat]:
    """Return what was trained again, once for each begin that lies before epochs trained already.

    Raises:
        ValueError: A training begins after an epoch that was never trained.
    """
    found = []
    for number, own in _by_trial(notes).items():
        ends: dict[int, float] = {}
        """When each epoch that counts ended; for the one that a process begins after, the begin."""
        for note in own:
            if note.what == "trained":
                ends[note.epoch] = note.time
                continue
            if note.epoch > max(ends, default=0):
                raise ValueError(f"trial {number} begins after epoch {note.epoch}, never trained")
            if lost := [epoch for epoch in ends if epoch > note.epoch]:
                seconds = ends[max(lost)] - ends[note.epoch]
                repeat = Repeat(number=number, after=note.epoch, epochs=len(lost), seconds=seconds)
                found.append(repeat)
            ends = {epoch: end for epoch, end in ends.items() if epoch < note.epoch}
            ends[note.epoch] = note.time
    return found


def times_trained(notes: Iterable[Note]) -> Mapping[tuple[int, int], int]:
    """Return how often each epoch was trained, by trial and epoch."""
    counts: dict[tuple[int, int], int] = defaultdict(int)
    for note in notes:
        if note.what == "trained":
            counts[note.number, note.epoch] += 1
    return counts


def intervals(notes: Iterable[Note], written: Mapping[int, Sequence[float]]) -> list[float]:
    """Return the seconds between a checkpoint and the one before it in the same process.

    Args:
        notes: Of all trials.
        written: When the checkpoints of each trial were written, in order.
    """
    found = []
    for number, own in _by_trial(notes).items():
        begins = [note.time for note in own if note.what == "begun"]
        for before, after in pairwise(written.get(number, ())):
            if not any(before < begin < after for begin in begins):
                found.append(after - before)
    return found


def _by_trial(notes: Iterable[Note]) -> Mapping[int, list[Note]]:
    trials = defaultdict(list)
    for note in notes:
        trials[note.number].append(note)
    return trials
