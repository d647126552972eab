"""Receives the reports of workers, and decides which trials end, and how.

Every change is written to the ledger before it is applied. A resume replays the same events, so it
continues exactly where the ledger ends.
"""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from tune.run import objective as objectives
from tune.run.events import (
    AttemptFailed,
    AttemptLost,
    Event,
    FilesGivenUp,
    FilesMadeAgain,
    FusingDecided,
    LatencyMeasured,
    MeasurementTaken,
    NodeJoined,
    NodeLost,
    OutOfMemory,
    TrialEnded,
    TrialStarted,
)
from tune.run.trial import Ending, Figures, Measurement, Status, Trial
from tune.sweep.bundle import Fusing
from tune.sweep.clock import Clock
from tune.sweep.failures import AlikeFailures, Faults
from tune.sweep.limits import Costs, excess
from tune.sweep.replay import apply
from tune.sweep.schedulers.scheduler import Cut
from tune.sweep.spec import SweepSpec
from tune.sweep.state import SweepState


class TrialReports(SweepState):
    """The part of `tune.sweep.sweep.Sweep` that receives reports about trials."""

    def __init__(
        self,
        spec: SweepSpec,
        *,
        commit: Callable[[Event], None],
        events: Iterable[Event],
        clock: Clock,
        costs: Costs,
    ) -> None:
        super().__init__(spec)
        time = 0.0
        for event in events:
            apply(self, event)
            time = event.time
        self.stopping: str | None = None
        """Why the sweep is stopping; None if it is not."""
        self.ends_as_designed = False
        """Whether the spec asks for this end, as with a spent budget."""
        self._write = commit
        self._clock = clock
        self._costs = costs
        self._asked_to_stop: dict[str, str] = {}
        self._faults = Faults()
        self._alike = AlikeFailures(self.trials.values())
        for trial_id in sorted(self.queue.unfinished, key=lambda each: self.trials[each].number):
            # Use the time of the last event, because a killed session ended then.
            self._settle(self.trials[trial_id], time)

    def stop(self, reason: str, *, as_designed: bool = False) -> None:
        """Propose no more trials, and stop every worker at its next report.

        Args:
            reason: The reason, for users.
            as_designed: Whether the spec asks for this end, as with a spent budget.
        """
        if self.stopping is None:
            self.stopping, self.ends_as_designed = reason, as_designed

    def start(self, trial_id: str, devices: float) -> None:
        """Record that a worker starts a trial with this share of a GPU, or these CPU cores."""
        self._commit(TrialStarted(time=self._clock.now(), trial=trial_id, devices=devices))

    def report(
        self, trial_id: str, epoch: int, values: Mapping[str, float], worker: Mapping[str, Any]
    ) -> bool:
        """Record the measurement of one epoch; return whether the worker should stop.

        An epoch that a retry trained again is not recorded twice.

        Args:
            trial_id: The trial.
            epoch: Epochs trained so far, from 1.
            values: The metrics by name, and ``seconds``.
            worker: ``host``, ``device``, ``devices`` and ``parameters`` of the `Trial`.
        """
        trial, now = self.trials[trial_id], self._clock.now()
        if not trial.ended and epoch > len(trial.measurements):
            new = {key: value for key, value in worker.items() if getattr(trial, key) != value}
            # The ledger has no infinite numbers, so a resume would read them as NaN.
            finite = {k: value if math.isfinite(value) else math.nan for k, value in values.items()}
            figures = Figures(finite)
            self._commit(
                MeasurementTaken(time=now, trial=trial_id, epoch=epoch, values=figures, **new)
            )
            self._settle(trial, now)
        if trial_id in self.queue.lost and epoch >= len(trial.measurements):
            self._commit(FilesMadeAgain(time=now, trial=trial_id))
        over = trial.ended and trial_id not in self.queue.lost
        return over or trial.paused or self.stopping is not None

    def attempt_failed(self, trial_id: str, error: str, *, fault: str | None = None) -> None:
        """Retry a trial after a failed attempt, from its checkpoint; end it if retries are used up.

        Args:
            trial_id: The trial.
            error: The error, in one line.
            fault: Name of the fatal signal, if its worker crashed; after two equal crashes at the
                same epoch, the trial is not retried.
        """
        if self._faults.is_second(self.trials[trial_id], fault):
            self.fail(
                trial_id, f"{error}; this happened twice in the same epoch, so it is not retried"
            )
        elif self.failures[trial_id] < self.spec.retries:
            self._commit(AttemptFailed(time=self._clock.now(), trial=trial_id, error=error))
        else:
            self.fail(trial_id, error)

    def lose_attempt(self, trial_id: str, node: str) -> None:
        """Requeue a trial whose node died, without a limit on the number of times."""
        self._commit(AttemptLost(time=self._clock.now(), trial=trial_id, node=node))

    def lose_node(self, node: str) -> None:
        """Record that a node died."""
        self._commit(NodeLost(time=self._clock.now(), node=node))

    def join_node(self, node: str) -> None:
        """Record that a node joined the sweep while it runs."""
        self._commit(NodeJoined(time=self._clock.now(), node=node))

    def out_of_memory(self, trial_id: str, figures: str) -> None:
        """Retry a trial that did not fit into memory on a whole GPU; end it the second time."""
        bundle = self.bundles.get(trial_id)
        if bundle is not None:
            self.decide_fusing(replace(bundle, fused=False, reason=figures))
        elif trial_id in self.exclusive:
            self.give_up(trial_id, Status.INFEASIBLE, figures)
        else:
            self._commit(OutOfMemory(time=self._clock.now(), trial=trial_id, error=figures))

    def decide_fusing(self, fusing: Fusing) -> None:
        """Record whether trials are trained fused; if not, each returns to the queue."""
        self._commit(FusingDecided(time=self._clock.now(), **asdict(fusing)))

    def hear_latency(self, trial_ids: Iterable[str], latency_ms: float) -> bool:
        """Record the latency of the trials' network, and return whether it is within the limits.

        If it is not, the trials end. If another trial of the same network was measured at the same
        time, the first value counts, so that all of them are judged alike.
        """
        trials = [self.trials[trial_id] for trial_id in trial_ids]
        if self.needs_latency(trials[0]):
            event = LatencyMeasured(
                time=self._clock.now(), trial=trials[0].id, latency_ms=latency_ms
            )
            self._commit(event)
        over = [trial for trial in trials if self.end_over_limit(trial)]
        return not over

    def end_over_limit(self, trial: Trial) -> bool:
        """End a trial whose network is over a limit of the spec; return whether it is."""
        limits = self.spec.limits
        if limits is None or trial.ended:
            return False
        costs = dict(self._costs(trial.config))
        if trial.latency_ms is not None:
            costs["latency_ms"] = trial.latency_ms
        reason = excess(limits, costs)
        if reason is not None:
            self._end(trial.id, Ending(status=Status.OVER_LIMIT, reason=reason), self._clock.now())
        return reason is not None

    # How trials end.

    def fail(self, trial_id: str, error: str) -> None:
        """End a trial as failed, unless it had ended before.

        After `tune.sweep.failures.ALIKE` consecutive trials with the same error the sweep stops,
        because the others would fail too.
        """
        self.give_up(trial_id, Status.FAILED, error)
        if (reason := self._alike.hear(error)) is not None:
            self.stop(reason)

    def give_up(self, trial_id: str, status: Status, reason: str) -> None:
        """End a trial that cannot be trained; if it had ended before, it stays without files."""
        now = self._clock.now()
        if trial_id in self.queue.lost:
            self._commit(FilesGivenUp(time=now, trial=trial_id, error=reason))
        elif not self.trials[trial_id].ended:
            self._end(trial_id, Ending(status=status, reason=reason), now)

    def stop_trial(self, trial_id: str, reason: str) -> None:
        """End a trial early: at its next report, or at once if no worker has it."""
        if trial_id in self.queue.waiting or self.trials[trial_id].paused:
            ending = Ending(status=Status.EARLY_STOPPED, reason=reason)
            self._end(trial_id, ending, self._clock.now())
        else:
            self._asked_to_stop[trial_id] = reason

    def _settle(self, trial: Trial, now: float) -> None:
        """End the trial if its last measurement is terminal."""
        if (ending := self._ending(trial)) is not None:
            self._end(trial.id, ending, now)

    def _ending(self, trial: Trial) -> Ending | None:
        """Return how a trial ends at its last measurement, or None if it continues."""
        last = trial.last
        if last is None:
            return None
        if (name := self._not_finite(last)) is not None:
            reason = f"{name} was NaN or infinite at epoch {last.epoch}"
            return Ending(status=Status.DIVERGED, reason=reason)
        if last.epoch >= trial.epochs:
            return Ending(status=Status.COMPLETED, reason="")
        if (why := self._lost_patience(trial, last)) is not None:
            return Ending(status=Status.COMPLETED, reason=why)
        cut = self.search.cuts.get(trial.id)
        if cut is not None and not cut.pauses:
            reason = self._explain(cut)
            return Ending(status=Status.EARLY_STOPPED, reason=reason)
        if trial.id in self._asked_to_stop:
            return Ending(status=Status.EARLY_STOPPED, reason=self._asked_to_stop[trial.id])
        return None

    def _lost_patience(self, trial: Trial, last: Measurement) -> str | None:
        """Return why a training is complete that has not become better for its ``patience``."""
        patience = trial.config.get("patience", 0)
        # Own training code may have a hyperparameter of this name.
        if patience == 0 or self.spec.train is not None:
            return None
        metric, mode = self.spec.objective.metric, self.spec.objective.mode
        best = trial.best(metric, mode)
        if best is None or last.epoch - best.epoch < patience:
            return None
        return f"{metric} was not better than at epoch {best.epoch} for {patience} epochs"

    def _not_finite(self, last: Measurement) -> str | None:
        """Return ``loss``, or the objective's metric if that is not finite; None if all are."""
        metric = self.spec.objective.metric
        if last.diverged:
            return "loss"
        return None if math.isfinite(last.values.get(metric, math.nan)) else metric

    def _end(self, trial_id: str, ending: Ending, now: float) -> None:
        if ending.status is not Status.FAILED:
            self._alike.forget()
        self._commit(
            TrialEnded(time=now, trial=trial_id, status=ending.status, reason=ending.reason)
        )

    def _explain(self, cut: Cut) -> str:
        sign = objectives.sign(self.spec.objective)
        value, needed = (sign * number for number in (cut.value, cut.needed))
        return (
            f"{self.spec.objective.metric} {value:.4f} at epoch {cut.epoch} did not reach "
            f"{needed:.4f}, {cut.rule}"
        )

    def _commit(self, event: Event) -> None:
        self._write(event)
        apply(self, event)
