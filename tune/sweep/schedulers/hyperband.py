"""HyperBand: trials are spread over brackets of ASHA, each with a longer grace period."""

import hashlib
from itertools import accumulate, pairwise

from fairsweep.errors import UserError
from tune.sweep.schedulers.asha import Asha
from tune.sweep.schedulers.rungs import rungs_of
from tune.sweep.schedulers.scheduler import Cut, Scheduler


class Hyperband(Scheduler):
    """Asynchronous HyperBand in its stopping form: each trial belongs to one of several brackets.

    Bracket ``s`` (from 0) is ASHA with a grace period of ``grace_period`` × ``reduction_factor`` **
    ``s`` epochs, so that it gives time to configurations that learn slowly at first. The last
    possible bracket stops no trial. A trial is compared with the trials of its bracket only.

    Of R possible brackets, bracket ``s`` with its first rung at epoch r gets a share of the trials
    proportional to R / (R - s) / r, as in synchronous HyperBand. The trial's id, which is a hash,
    decides in which bracket it is. So a resumed sweep or one with more samples has each trial in
    the same bracket, and brackets do not follow the order of a grid.

    Sources: Li et al., "A System for Massively Parallel Hyperparameter Tuning", MLSys 2020; the
    shares are those of Syne Tune's `DefaultHyperbandBracketDistribution`, of Klein et al.,
    "Model-based Asynchronous Hyperparameter and Neural Architecture Search", 2020.
    """

    def __init__(
        self, *, grace_period: int, reduction_factor: int, epochs: int, brackets: int | None = None
    ) -> None:
        """Make the brackets.

        Args:
            grace_period: Epochs before the first comparison in the first bracket.
            reduction_factor: One in this many trials of a bracket continues at each of its rungs.
            epochs: Epochs of a complete training.
            brackets: Number of brackets; None for all that are possible.

        Raises:
            UserError: There are not so many rungs.
        """

        def asha(grace: int) -> Asha:
            return Asha(grace_period=grace, reduction_factor=reduction_factor, epochs=epochs)

        self.rungs = rungs_of(grace_period, reduction_factor, epochs)
        starts = (*self.rungs, epochs)
        if brackets is not None and brackets > len(starts):
            raise UserError(
                f"brackets can be at most {len(starts)} with {epochs} epochs, grace_period "
                f"{grace_period} and reduction_factor {reduction_factor}, but got {brackets}; the "
                "last one stops no trial"
            )
        self._brackets = [asha(start) for start in starts[:brackets]]
        sizes = [
            len(starts) / (len(starts) - number) / start
            for number, start in enumerate(starts[:brackets])
        ]
        self.shares = tuple(size / sum(sizes) for size in sizes)
        """Expected share of the trials in each bracket."""
        reaching = [
            sum(
                share / reduction_factor ** max(0, rung - number)
                for number, share in enumerate(self.shares)
            )
            for rung in range(len(starts))
        ]
        self.survivors = tuple(after / before for before, after in pairwise(reaching))

    def bracket(self, trial_id: str) -> int:
        """Return the number of a trial's bracket, from 0."""
        digest = hashlib.blake2b(trial_id.encode(), digest_size=8).digest()
        place = int.from_bytes(digest, "big") / 2**64
        return sum(place >= end for end in list(accumulate(self.shares))[:-1])

    def hear(self, trial_id: str, epoch: int, value: float) -> Cut | None:
        """Compare the trial with those of its bracket that reached this rung before it."""
        return self._brackets[self.bracket(trial_id)].hear(trial_id, epoch, value)
