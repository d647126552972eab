"""Holds the searcher and the scheduler of a sweep, and reports trials to them."""

import math
from collections.abc import Iterable

from tune.run import objective as objectives
from tune.run.trial import Measurement, Status, Trial
from tune.sweep.schedulers.registry import make_scheduler
from tune.sweep.schedulers.scheduler import Cut
from tune.sweep.searchers.registry import make_searcher
from tune.sweep.searchers.searcher import KnownTrial
from tune.sweep.space import Point
from tune.sweep.spec import SweepSpec


class Search:
    """Reports the trials of the search to searcher and scheduler."""

    def __init__(self, spec: SweepSpec) -> None:
        """Make both.

        Raises:
            SpecError: Searcher or scheduler are unknown or do not fit the space.
        """
        self.configure(spec)
        self.known: tuple[KnownTrial, ...] | None = None
        """Another run's trials for the warm start; None without one."""
        self.proposals = 0
        self.exhausted = False
        """Whether the searcher has no further points."""
        self.cuts: dict[str, Cut] = {}
        """Trial id → why the scheduler stops or pauses it."""
        self._points: dict[str, Point] = {}
        self._reached: dict[str, float] = {}

    def configure(self, spec: SweepSpec) -> None:
        """Make a new searcher and scheduler for this spec."""
        self._spec = spec
        self.space = spec.search_space
        self._searcher = make_searcher(spec)
        self.scheduler = make_scheduler(spec)

    @property
    def size(self) -> int:
        """Maximum number of points that the searcher proposes."""
        return self._searcher.size

    def propose(self) -> Point | None:
        """Return the next point, or None if there are no more."""
        return self._searcher.propose(self.proposals)

    def hear_known(self, known: tuple[KnownTrial, ...]) -> None:
        """Report another run's trials."""
        self.known = known
        self._searcher.hear_known(known)

    def hear_skipped(self, proposal: int, point: Point) -> None:
        """Report a proposal whose configuration the sweep already has."""
        self.proposals = proposal + 1
        self._searcher.hear_skipped(point)

    def hear_proposed(self, trial: Trial, proposal: int, point: Point) -> None:
        """Report a new trial of the search."""
        self.proposals = proposal + 1
        self._points[trial.id] = point
        self._searcher.hear_proposed(trial.id, point)

    def hear_reopened(self, trial: Trial) -> None:
        """Report that an ended or paused trial is trained further, and will end again."""
        self.cuts.pop(trial.id, None)
        self._searcher.hear_proposed(trial.id, self._points[trial.id])

    def hear_measurement(self, trial: Trial, measurement: Measurement) -> bool:
        """Report the trial's last measurement to both; return whether the trial pauses.

        The searcher hears of a paused trial what it hears of one that was stopped.
        """
        before = self._reached.get(trial.id, -math.inf)
        point = objectives.curve_point(self._spec.objective, measurement, before)
        self._reached[trial.id] = point
        self._searcher.hear_epoch(trial.id, measurement.epoch, point)
        cut = self.scheduler.hear(trial.id, measurement.epoch, point)
        if cut is None or (cut.pauses and measurement.epoch >= trial.epochs):
            return False
        self.cuts[trial.id] = cut
        if cut.pauses:
            self.hear_ended(trial)
        return cut.pauses

    def hear_ended(self, trial: Trial) -> None:
        """Report the end or the pause of a trial to the searcher."""
        if trial.status is Status.OVER_LIMIT:
            self._searcher.hear_over_limit(trial.id)
            return
        failed = trial.status is Status.FAILED
        curve = [] if failed else objectives.curve(self._spec.objective, trial)
        finite = [value for value in curve if math.isfinite(value)]
        whole = trial.status is Status.COMPLETED
        scores = objectives.scores(self._spec.objectives, trial) if whole else None
        self._searcher.hear_ended(trial.id, finite, scores)

    def restart(self, spec: SweepSpec, trials: Iterable[Trial]) -> None:
        """Continue with a larger spec: report all trials to a new searcher and scheduler."""
        self.configure(spec)
        self.exhausted = False
        if self.known is not None:
            self._searcher.hear_known([k for k in self.known if self.space.holds(k.point)])
        for trial in trials:
            point = self._points[trial.id]
            held = self.space.holds(point)
            if held:
                self._searcher.hear_proposed(trial.id, point)
            curve = objectives.curve(spec.objective, trial)
            for measurement, value in zip(trial.measurements, curve, strict=True):
                self.scheduler.hear(trial.id, measurement.epoch, value)
                if held:
                    self._searcher.hear_epoch(trial.id, measurement.epoch, value)
            if held and (trial.ended or trial.paused):
                self.hear_ended(trial)
