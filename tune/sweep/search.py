"""The searcher and the scheduler of a sweep, and what they have heard of its trials."""

import math
from collections.abc import Iterable

from tune.run import objective as objectives
from tune.run.trial import Measurement, Status, Trial
from tune.sweep.schedulers import Cut, make_scheduler
from tune.sweep.searchers.registry import make_searcher
from tune.sweep.searchers.searcher import KnownTrial
from tune.sweep.space import Point
from tune.sweep.spec import SweepSpec


class Search:
    """Lets searcher and scheduler hear what happens to the trials of the search."""

    def __init__(self, spec: SweepSpec) -> None:
        """Make both.

        Raises:
            SpecError: Searcher or scheduler are unknown or do not go with the space.
        """
        self.configure(spec)
        self.known: tuple[KnownTrial, ...] | None = None
        """Another run's trials that the searcher heard of at the start."""
        self.proposals = 0
        self.exhausted = False
        """Whether the searcher proposes nothing more."""
        self.cuts: dict[str, Cut] = {}
        """Why the scheduler stops a trial."""
        self._points: dict[str, Point] = {}
        self._reached: dict[str, float] = {}

    def configure(self, spec: SweepSpec) -> None:
        """Make searcher and scheduler anew, for this spec."""
        self._spec = spec
        self.space = spec.search_space
        self._searcher = make_searcher(spec)
        self.scheduler = make_scheduler(spec)

    @property
    def size(self) -> int | None:
        """Most points that the searcher will propose."""
        return self._searcher.size

    def propose(self) -> Point | None:
        """Return the next point, or None if the space is used up."""
        return self._searcher.propose(self.proposals)

    def hear_known(self, known: tuple[KnownTrial, ...]) -> None:
        """Take in another run's trials."""
        self.known = known
        self._searcher.hear_known(known)

    def hear_skipped(self, proposal: int, point: Point) -> None:
        """Take note that a proposed configuration was there already."""
        self.proposals = proposal + 1
        self._searcher.hear_skipped(point)

    def hear_proposed(self, trial: Trial, proposal: int, point: Point) -> None:
        """Take note of a new trial of the search."""
        self.proposals = proposal + 1
        self._points[trial.id] = point
        self._searcher.hear_proposed(trial.id, point)

    def hear_reopened(self, trial: Trial) -> None:
        """Take note that a trial which had ended is trained on; its end is heard once more."""
        self._searcher.hear_proposed(trial.id, self._points[trial.id])

    def hear_measurement(self, trial: Trial, measurement: Measurement) -> None:
        """Let the scheduler hear the trial's last measurement."""
        before = self._reached.get(trial.id, -math.inf)
        point = objectives.curve_point(self._spec.objective, measurement, before)
        self._reached[trial.id] = point
        cut = self.scheduler.hear(trial.id, measurement.epoch, point)
        if cut is not None:
            self.cuts[trial.id] = cut

    def hear_ended(self, trial: Trial) -> None:
        """Let the searcher hear how a trial ended."""
        failed = trial.status is Status.FAILED
        curve = [] if failed else objectives.curve(self._spec.objective, trial)
        finite = [value for value in curve if math.isfinite(value)]
        whole = trial.status is Status.COMPLETED
        scores = objectives.scores(self._spec.objectives, trial) if whole else None
        self._searcher.hear_ended(trial.id, finite, scores)

    def restart(self, spec: SweepSpec, trials: Iterable[Trial]) -> None:
        """Go on under a larger spec; its searcher and scheduler hear what is known."""
        self.configure(spec)
        self.exhausted = False
        if self.known is not None:
            self._searcher.hear_known([k for k in self.known if self.space.holds(k.point)])
        for trial in trials:
            curve = objectives.curve(spec.objective, trial)
            for measurement, value in zip(trial.measurements, curve, strict=True):
                self.scheduler.hear(trial.id, measurement.epoch, value)
            point = self._points[trial.id]
            if self.space.holds(point):
                self._searcher.hear_proposed(trial.id, point)
                if trial.ended:
                    self.hear_ended(trial)
