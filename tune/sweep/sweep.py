"""Decides what to train next, what to stop, and when the sweep is over. Independent of Ray."""

from collections.abc import Callable, Iterable
from dataclasses import replace

from tune.run.events import (
    Event,
    FailedRetried,
    FilesLost,
    SweepExtended,
    SweepFinished,
    SweepResumed,
    SweepStarted,
    SweepStopped,
    TestOpened,
    TrialTakenUp,
    WarmStarted,
)
from tune.run.trial import Ending, Status, Trial
from tune.sweep import bundling
from tune.sweep.bundle import Bundle
from tune.sweep.clock import Clock
from tune.sweep.limits import Costs
from tune.sweep.proposals import Proposals
from tune.sweep.searchers.searcher import KnownTrial
from tune.sweep.spec import SweepSpec
from tune.sweep.trial_reports import TrialReports


class Sweep(TrialReports):
    """A sweep in progress: its state, and the decisions that change it."""

    def __init__(
        self,
        spec: SweepSpec,
        *,
        fingerprint: str,
        commit: Callable[[Event], None] = lambda _event: None,
        events: Iterable[Event] = (),
        clock: Clock | None = None,
        costs: Costs = lambda _config: {},
    ) -> None:
        """Apply ``events``, then close trials whose last measurement is terminal.

        Args:
            spec: The sweep spec.
            fingerprint: Fingerprint of the dataset, which is part of every trial id.
            commit: Called with each new event before the sweep acts on it.
            events: The ledger so far.
            clock: Gives the times in the ledger; None for the wall clock.
            costs: Returns the known costs of a network, for the limits of the spec.

        Raises:
            SpecError: Searcher or scheduler are unknown or do not fit the space.
        """
        super().__init__(spec, commit=commit, events=events, clock=clock or Clock(), costs=costs)
        self._proposals = Proposals(self, fingerprint=fingerprint, clock=self._clock)

    # Driver sessions.

    def begin(self) -> None:
        """Record the start of a driver session."""
        kind = SweepResumed if self.begun else SweepStarted
        self._commit(kind(time=self._clock.now(), spec=self.spec.to_yaml()))

    def warm_start(self, run: str, known: Iterable[KnownTrial], *, unfit: int) -> None:
        """Report another run's trials to the searcher, before its first proposal.

        Args:
            run: The other run.
            known: Its trials whose configurations are points of this space.
            unfit: Number of its other trials.
        """
        trials = tuple(vars(trial) for trial in known)
        self._commit(WarmStarted(time=self._clock.now(), run=run, trials=trials, unfit=unfit))

    def extend(self, spec: SweepSpec) -> None:
        """Continue with a larger spec (see `tune.sweep.extend`); all trials are kept."""
        self._commit(SweepExtended(time=self._clock.now(), spec=spec.to_yaml()))

    def budget_spent(self) -> str | None:
        """Return which part of the spec's budget is spent; None if none is."""
        for unit, seconds in (("hours", self.seconds), ("device_hours", self.device_seconds)):
            limit = getattr(self.spec.budget, unit)
            if limit is not None and seconds >= 3600 * limit:
                return f"its budget of {limit:g} {unit.replace('_', '-')} is spent"
        return None

    def close(self) -> None:
        """Record how the driver session ended: finished, or stopped with a reason."""
        if self.finished:
            self._commit(SweepFinished(time=self._clock.now()))
        else:
            reason = self.stopping or "it was closed"
            self._commit(SweepStopped(time=self._clock.now(), reason=reason))

    # What is trained next.

    def next_trial(self) -> Trial | None:
        """Return the next trial to run, or None if there is none at the moment.

        Trials over a limit of the spec end here.
        """
        while (trial := self._next_waiting()) is not None and self.end_over_limit(trial):
            pass
        return trial

    def _next_waiting(self) -> Trial | None:
        if self.stopping is not None:
            return None
        if not self.queue.waiting:
            self._take_up(last=False)
        if not self.queue.waiting and not self.search.exhausted:
            self._commit_all(self._proposals.of_search())
        if self.search.exhausted and not self.queue.waiting:
            self._take_up(last=len(self.queue.unfinished) == len(self.queue.paused))
        if self.search.exhausted and (not self.queue.waiting or self.has_new_finalists):
            self._commit_all(self._proposals.of_finalists())
        waiting = self.queue.waiting
        if not waiting:
            return None
        # Start the longest first, as far as known, so that no device runs much longer than others.
        following = max(waiting, key=lambda trial_id: self._expected_seconds(self.trials[trial_id]))
        waiting.remove(following)
        return self.trials[following]

    def _take_up(self, *, last: bool) -> None:
        """Let a paused trial go on if the scheduler promotes one, or if finalists are missing.

        Otherwise, paused trials end if nothing else is left to train.
        """
        paused, now = self.queue.paused, self._clock.now()
        if not paused:
            return
        promoted = self.scheduler.take_up(paused, last=last)
        going_on = len(self.queue.unfinished) - len(paused)
        too_few = self.trained_whole + going_on < self.spec.finalists
        if promoted is None and self.search.exhausted and too_few:
            promoted = self.scheduler.foremost(paused)
        if promoted is not None:
            self._commit(TrialTakenUp(time=now, trial=promoted))
        elif last:
            for trial_id in list(paused):
                reason = self._explain(self.scheduler.why_paused(trial_id))
                self._end(trial_id, Ending(status=Status.EARLY_STOPPED, reason=reason), now)

    def next_bundle(self, devices: int) -> Bundle | None:
        """Return the next bundle for a free worker, or None if there is none at the moment.

        Replicates and folds of one configuration can be fused if no scheduler stops them.

        Args:
            devices: Number of cores or GPUs; the remaining trials are spread evenly over them.
        """
        if self.spec.folds is not None and self.stopping is None:
            while not self.search.exhausted:
                self._commit_all(self._proposals.of_search())
        first = self.next_trial()
        if first is None:
            return None
        bound = self.bundles.get(first.id)
        if bound is None and (mates := bundling.mates(self, first, devices)):
            known = bundling.last_fusing(self, first)
            if known is None:
                return bundling.take(self, [first.id, *mates], probe=True)
            bound = replace(known, trials=(first.id, *mates))
            self.decide_fusing(bound)
        if bound is None:
            return bundling.take(self, [first.id])
        waiting = {first.id, *self.queue.waiting}
        return bundling.take(self, [trial for trial in bound.trials if trial in waiting], bound)

    def train_again(self, trial_id: str) -> None:
        """Train an early-stopped trial again up to its last epoch, because it has no files."""
        self._commit(FilesLost(time=self._clock.now(), trial=trial_id))

    def retry_failed(self, trial_id: str | None = None) -> int:
        """Train failed trials again, also while the sweep runs; return their number.

        Args:
            trial_id: The trial, with which failed trials fused with it are trained; None for all.
        """
        failed = tuple(t.id for t in self._failed(trial_id))
        if failed:
            self._commit(FailedRetried(time=self._clock.now(), trials=failed))
        for each in failed:
            self._faults.forget(each)
            self._asked_to_stop.pop(each, None)
        self._alike.accept_none()
        return len(failed)

    def _failed(self, trial_id: str | None) -> list[Trial]:
        # Fused trials have one folder, which only one worker may write to.
        trials = self.trials.values() if trial_id is None else self.trials_in(self.folder(trial_id))
        return [trial for trial in trials if trial.status is Status.FAILED]

    def open_test(self, trial_id: str, ensemble: tuple[str, ...] | None = None) -> None:
        """Record that the test split is opened for a trial; call this before reading it.

        Args:
            trial_id: The trial, or the first member of the ensemble.
            ensemble: The members of an ensemble, as often as each counts.
        """
        self._commit(TestOpened(time=self._clock.now(), trial=trial_id, ensemble=ensemble))

    def _expected_seconds(self, trial: Trial) -> float:
        """Return the duration of another trial of the same configuration; 0 if unknown."""
        return self.seconds_of.get(trial.configuration_id, 0.0)

    def _commit_all(self, events: Iterable[Event]) -> None:
        for event in events:
            self._commit(event)
