"""Which trials are left to train, and which of them wait for a worker."""

from collections.abc import Iterable


class Queue:
    """Trials by their ids; the first of ``waiting`` came first."""

    def __init__(self) -> None:
        self.waiting: list[str] = []
        """Trials that wait for a worker."""
        self.unfinished: set[str] = set()
        """Trials that have not ended."""
        self.lost: set[str] = set()
        """Trials that have ended, and are trained again for their files."""

    @property
    def left(self) -> bool:
        """Whether there is anything left to train."""
        return bool(self.unfinished or self.lost)

    def join(self, trial_id: str) -> None:
        """Append a new trial."""
        self.unfinished.add(trial_id)
        self.waiting.append(trial_id)

    def return_to_front(self, trial_id: str) -> None:
        """Put a trial that lost its worker first, to continue from its checkpoint."""
        if trial_id in self.unfinished | self.lost and trial_id not in self.waiting:
            self.waiting.insert(0, trial_id)

    def take(self, trial_id: str) -> None:
        """Note that a worker gets the trial."""
        if trial_id in self.waiting:
            self.waiting.remove(trial_id)

    def end(self, trial_id: str) -> None:
        """Remove a trial that has ended."""
        self.unfinished.discard(trial_id)
        self.take(trial_id)

    def reopen(self, trial_id: str) -> None:
        """Note that a trial which had ended is to be trained on; `refill` lets it wait."""
        self.unfinished.add(trial_id)

    def lose_files(self, trial_id: str) -> None:
        """Append a trial that has ended, to train it again for its files."""
        self.lost.add(trial_id)
        self.waiting.append(trial_id)

    def refill(self, trial_ids: Iterable[str]) -> None:
        """Let those of the trials wait that are left to train, in this order."""
        left = self.unfinished | self.lost
        self.waiting = [trial_id for trial_id in trial_ids if trial_id in left]
