"""The queue of trials that are left to train."""

from collections.abc import Iterable


class Queue:
    """Trial ids by state; ``waiting`` is in order."""

    def __init__(self) -> None:
        self.waiting: list[str] = []
        """Trials that wait for a worker."""
        self.unfinished: set[str] = set()
        """Trials that have not ended."""
        self.paused: list[str] = []
        """Unfinished trials that the scheduler has paused, in order."""
        self.lost: set[str] = set()
        """Ended trials that are trained again because their files are missing."""

    @property
    def left(self) -> bool:
        """Whether there is anything left to train."""
        return bool(self.unfinished or self.lost)

    def join(self, trial_id: str) -> None:
        """Append a new trial."""
        self.unfinished.add(trial_id)
        self.waiting.append(trial_id)

    def return_to_front(self, trial_id: str) -> None:
        """Put a trial that lost its worker at the front, to continue from its checkpoint."""
        held = trial_id in self.waiting or trial_id in self.paused
        if trial_id in self.unfinished | self.lost and not held:
            self.waiting.insert(0, trial_id)

    def take(self, trial_id: str) -> None:
        """Remove a trial from the waiting ones, because a worker gets it."""
        if trial_id in self.waiting:
            self.waiting.remove(trial_id)

    def pause(self, trial_id: str) -> None:
        """Set a trial aside, without a worker."""
        self.take(trial_id)
        self.paused.append(trial_id)

    def take_up(self, trial_id: str) -> None:
        """Let a paused trial wait for a worker."""
        self.paused.remove(trial_id)
        self.waiting.append(trial_id)

    def end(self, trial_id: str) -> None:
        """Remove a trial that has ended."""
        self.unfinished.discard(trial_id)
        self.take(trial_id)
        if trial_id in self.paused:
            self.paused.remove(trial_id)

    def reopen(self, trial_id: str) -> None:
        """Mark an ended trial as unfinished; `refill` adds it to the waiting ones."""
        self.unfinished.add(trial_id)

    def lose_files(self, trial_id: str) -> None:
        """Append an ended trial, to train it again because its files are missing."""
        self.lost.add(trial_id)
        self.waiting.append(trial_id)

    def refill(self, trial_ids: Iterable[str]) -> None:
        """Set the waiting trials: those of ``trial_ids`` that are left to train, in this order."""
        left = self.unfinished.difference(self.paused) | self.lost
        self.waiting = [trial_id for trial_id in trial_ids if trial_id in left]
