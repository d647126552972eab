"""The sweep's mind: what to train next, what to stop, when it is over. Knows nothing of Ray.

Every change goes through the ledger first and is then applied by `Sweep._apply`, live and on
resume alike; so a resumed sweep stands where the ledger stands, to the last digit.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import yaml

from tune.ledger import Event
from tune.schedulers import SCHEDULERS, Cut
from tune.schema import FINISHED, Figures, Measurement, Status, Trial
from tune.searchers import SEARCHERS
from tune.space import Point
from tune.spec import SpecError, SweepSpec, parse_spec


class Sweep:
    """A sweep in progress, or one read back from its ledger."""

    def __init__(
        self,
        spec: SweepSpec,
        *,
        fingerprint: str,
        commit: Callable[[Event], None] = lambda _event: None,
        events: Iterable[Event] = (),
    ) -> None:
        """Stand where ``events`` end.

        Args:
            spec: What to search.
            fingerprint: The dataset's, part of every trial's id.
            commit: Called with each new event before the sweep acts on it.
            events: The ledger so far.

        Raises:
            SpecError: Searcher or scheduler are unknown or do not go with the space.
        """
        self._configure(spec)
        self.trials: dict[str, Trial] = {}
        self.stopping: str | None = None
        self._begun = False
        self._seconds_before = self._sat_down = self._now = 0.0
        self._fingerprint = fingerprint
        self._write = commit
        self._proposals = 0
        self._points: dict[str, Point] = {}
        self._exhausted = False
        self._finalists: list[str] | None = None
        self._waiting: list[str] = []
        self._unfinished: set[str] = set()
        self._cuts: dict[str, Cut] = {}
        for event in events:
            self._apply(event)
        self._settle_all()

    def _configure(self, spec: SweepSpec) -> None:
        self.spec = spec
        self._space = spec.search_space
        self._searcher = _make_searcher(spec)
        self.scheduler = _make_scheduler(spec)

    @property
    def finished(self) -> bool:
        """True if every trial that the sweep will ever have has ended."""
        return self._finalists is not None and not self._unfinished

    @property
    def expected(self) -> int | None:
        """How many trials the sweep will have, as far as can be known."""
        if self._finalists is not None:
            return len(self.trials)
        size = self._searcher.size
        if size is None:
            return None
        finalists = size if self.spec.scheduler.name == "none" else min(size, self.spec.finalists)
        return int(size + finalists * (self.spec.replicates - 1))

    @property
    def incumbent(self) -> Trial | None:
        """The trial with the best objective among those trained whole, else among all."""
        ranked = self._ranked(self.trials.values())
        whole = [trial for trial in ranked if trial.status is Status.COMPLETED]
        return next(iter(whole or ranked), None)

    def objective(self, trial: Trial) -> float | None:
        """Return the metric that the spec compares, or None before the first finite one."""
        metric = self.spec.objective.metric
        at = self.spec.objective.at
        found = trial.last if at == "last" else trial.best(metric, self.spec.objective.mode)
        return found.values[metric] if found and math.isfinite(found.values[metric]) else None

    def worth_keeping(self, count: int) -> set[str]:
        """Return the trials whose weights should stay: the best ones, and all of the finalists."""
        best = self._ranked(self.trials.values())[:count]
        configurations = {self.trials[one].configuration_id for one in self._finalists or ()}
        finalists = (t for t in self.trials.values() if t.configuration_id in configurations)
        return {trial.id for trial in (*best, *finalists)}

    def next_trial(self) -> Trial | None:
        """Return the next trial to run, or None if there is none yet, or none any more."""
        if self.stopping is not None:
            return None
        if not self._waiting and not self._exhausted:
            self._propose()
        if not self._waiting and self._exhausted and not self._unfinished:
            self._propose_finalists()
        return self.trials[self._waiting.pop(0)] if self._waiting else None

    def begin(self) -> None:
        """Note that a process drives the sweep, for the first time or once more."""
        kind = "sweep_resumed" if self._begun else "sweep_started"
        self._commit({"event": kind, "spec": self.spec.to_yaml()})

    def extend(self, spec: SweepSpec) -> None:
        """Go on under a larger spec (see `tune.extend`); what was trained counts."""
        self._commit({"event": "sweep_extended", "spec": spec.to_yaml()})

    def start(self, trial_id: str, devices: float) -> None:
        """Note that a worker has taken up a trial with this share of a GPU, or CPU cores."""
        self._commit({"event": "trial_started", "trial": trial_id, "devices": devices})

    def report(
        self, trial_id: str, epoch: int, values: Mapping[str, float], worker: Mapping[str, Any]
    ) -> bool:
        """Take in the measurement of one epoch; return whether the worker should stop.

        An epoch that a retry trained again is known already and not noted twice.

        Args:
            trial_id: The trial.
            epoch: Epochs trained so far, from 1.
            values: Every figure of ``MEASURED`` and ``TIMINGS``.
            worker: ``host``, ``device`` and ``parameters`` (of the network).
        """
        trial = self.trials[trial_id]
        if trial.status not in FINISHED and epoch > len(trial.measurements):
            new = {key: value for key, value in worker.items() if getattr(trial, key) != value}
            numbers = {
                name: value if math.isfinite(value) else None for name, value in values.items()
            }
            self._commit(
                {
                    "event": "measurement",
                    "trial": trial_id,
                    "epoch": epoch,
                    "values": numbers,
                    **new,
                }
            )
            self._settle(trial)
        return trial.status in FINISHED or self.stopping is not None

    def retry(self, trial_id: str, error: str) -> None:
        """Note that a trial's attempt failed and that it will go on from its checkpoint."""
        self._commit({"event": "attempt_failed", "trial": trial_id, "error": error})

    def fail(self, trial_id: str, error: str) -> None:
        """End a trial whose last attempt failed, unless it had reached its end before."""
        if self.trials[trial_id].status not in FINISHED:
            self._end(self.trials[trial_id], Status.FAILED, error)

    def stop(self, reason: str) -> None:
        """Propose nothing more and tell every worker at its next report to stop."""
        self.stopping = self.stopping or reason

    def close(self) -> None:
        """Write how the sweep ended: finished, or stopped with trials still to go on."""
        if self.finished:
            self._commit({"event": "sweep_finished"})
        else:
            self._commit({"event": "sweep_stopped", "reason": self.stopping or "it was closed"})

    # What was decided becomes an event, and an event becomes state, in this one way only.

    def _commit(self, event: Event) -> None:
        event = {**event, "time": round(time.time(), 3)}
        self._write(event)
        self._apply(event)

    def _apply(self, event: Event) -> None:
        self._clock(event)
        match event["event"]:
            case "trial_proposed":
                self._apply_proposed(event)
            case "proposal_skipped":
                self._proposals = event["proposal"] + 1
                self._searcher.hear_proposed(str(event["proposal"]), event["point"])
            case "space_exhausted":
                self._exhausted = True
            case "finalists_chosen":
                self._finalists = list(event["trials"])
            case "trial_started":
                self.trials[event["trial"]].status = Status.RUNNING
                self.trials[event["trial"]].devices = event["devices"]
            case "measurement":
                self._apply_measurement(event)
            case "trial_ended":
                self._apply_ended(event)
            case "sweep_stopped":
                self._interrupt(event["reason"])
            case "sweep_extended":
                self._apply_extended(parse_spec(yaml.safe_load(event["spec"]), "the ledger"))
            case "sweep_started" | "sweep_resumed":
                if not self._begun:
                    self._configure(parse_spec(yaml.safe_load(event["spec"]), "the ledger"))
                self._begun = True
                self._interrupt("its sweep was killed")
                self._queue_unfinished()

    def _apply_proposed(self, event: Event) -> None:
        trial = Trial(**{key: event[key] for key in _PROPOSED}, id=event["trial"])
        self.trials[trial.id] = trial
        self._unfinished.add(trial.id)
        self._waiting.append(trial.id)
        if trial.phase == "search":
            self._proposals = event["proposal"] + 1
            self._points[trial.id] = event["point"]
            self._searcher.hear_proposed(trial.id, event["point"])

    def _apply_extended(self, spec: SweepSpec) -> None:
        """Begin anew with a larger spec, and let its searcher and scheduler hear what is known."""
        self._configure(spec)
        self._exhausted, self._finalists = False, None
        for trial in self.trials.values():
            self._give_epochs(trial, spec.fixed.get("epochs", trial.epochs))
            if trial.phase != "search":
                continue
            for measurement, value in zip(trial.measurements, self._curve(trial), strict=True):
                self.scheduler.hear(trial.id, measurement.epoch, value)
            if self._space.holds(self._points[trial.id]):
                self._searcher.hear_proposed(trial.id, self._points[trial.id])
                if trial.status in FINISHED:
                    self._tell_end(trial)
        self._queue_unfinished()

    def _queue_unfinished(self) -> None:
        self._waiting = [one for one in self.trials if one in self._unfinished]

    def _give_epochs(self, trial: Trial, epochs: int) -> None:
        """Let a trial that was trained whole, or has not ended, go on to ``epochs``."""
        if trial.epochs < epochs and trial.status not in FINISHED - {Status.COMPLETED}:
            trial.epochs, trial.config = epochs, {**trial.config, "epochs": epochs}
            trial.status = Status.PENDING if trial.status is Status.COMPLETED else trial.status
            self._unfinished.add(trial.id)

    def _apply_measurement(self, event: Event) -> None:
        trial = self.trials[event["trial"]]
        told = event["values"].items()
        values = Figures({name: math.nan if value is None else value for name, value in told})
        trial.measurements.append(Measurement(epoch=event["epoch"], values=values, time=event["time"]))
        trial.seconds += values["seconds"]
        for key in ("host", "device", "parameters"):
            setattr(trial, key, event.get(key, getattr(trial, key)))
        if trial.phase == "search":
            cut = self.scheduler.hear(trial.id, event["epoch"], self._curve(trial)[-1])
            if cut is not None:
                self._cuts[trial.id] = cut

    def _apply_ended(self, event: Event) -> None:
        trial = self.trials[event["trial"]]
        trial.status, trial.reason = Status(event["status"]), event["reason"]
        self._unfinished.discard(trial.id)
        if trial.id in self._waiting:
            self._waiting.remove(trial.id)
        if trial.phase == "search":
            self._tell_end(trial)

    def _tell_end(self, trial: Trial) -> None:
        curve = [] if trial.status is Status.FAILED else self._curve(trial)
        finite = [value for value in curve if math.isfinite(value)]
        self._searcher.hear_ended(trial.id, finite, trial.status is Status.COMPLETED)

    def _interrupt(self, reason: str) -> None:
        for trial_id in self._unfinished:
            trial = self.trials[trial_id]
            if trial.status is Status.RUNNING:
                trial.status, trial.reason = Status.INTERRUPTED, reason

    # How trials end.

    def _settle_all(self) -> None:
        for trial_id in sorted(self._unfinished, key=lambda one: self.trials[one].number):
            self._settle(self.trials[trial_id])

    def _settle(self, trial: Trial) -> None:
        """End the trial if its last measurement says so."""
        last = trial.last
        if last is None:
            return
        if last.diverged:
            self._end(trial, Status.DIVERGED, f"loss was NaN or infinite at epoch {last.epoch}")
        elif last.epoch >= trial.epochs:
            self._end(trial, Status.COMPLETED, "")
        elif trial.id in self._cuts:
            self._end(trial, Status.EARLY_STOPPED, self._explain(self._cuts[trial.id]))

    def _end(self, trial: Trial, status: Status, reason: str) -> None:
        self._commit(
            {"event": "trial_ended", "trial": trial.id, "status": status, "reason": reason}
        )

    def _explain(self, cut: Cut) -> str:
        value, needed = (self._sign * number for number in (cut.value, cut.needed))
        return (
            f"{self.spec.objective.metric} {value:.4f} at epoch {cut.epoch} did not reach "
            f"{needed:.4f}, the mark of {cut.rule}"
        )

    # What comes next.

    def _propose(self) -> None:
        """Propose one new trial of the search, or note that the space is used up."""
        while True:
            proposal = self._proposals
            point = self._searcher.propose(proposal)
            if point is None:
                return self._commit({"event": "space_exhausted"})
            config = self.spec.config(self._space.at(point), seed=self.spec.seed)
            if config.trial_id(self._fingerprint) not in self.trials:
                extra = {"proposal": proposal, "point": point}
                return self._propose_trial(config, "search", 0, extra)
            self._commit(
                {
                    "event": "proposal_skipped",
                    "proposal": proposal,
                    "trial": config.trial_id(self._fingerprint),
                    "point": point,
                }
            )

    def _propose_finalists(self) -> None:
        """Propose the other replicates of the finalists: when the search is over, once."""
        if self._finalists is None:
            whole = [
                trial
                for trial in self._ranked(self.trials.values())
                if trial.status is Status.COMPLETED and trial.phase == "search"
            ]
            chosen = whole if self.spec.scheduler.name == "none" else whole[: self.spec.finalists]
            self._commit({"event": "finalists_chosen", "trials": [trial.id for trial in chosen]})
        for replicate in range(1, self.spec.replicates):
            for trial_id in self._finalists or ():
                first = self.trials[trial_id].config
                config = self.spec.config(first, seed=self.spec.seed + replicate)
                if config.trial_id(self._fingerprint) not in self.trials:
                    self._propose_trial(config, "finalist", replicate, {})

    def _propose_trial(
        self, config: Any, phase: str, replicate: int, extra: Mapping[str, Any]
    ) -> None:
        self._commit(
            {
                "event": "trial_proposed",
                "trial": config.trial_id(self._fingerprint),
                "configuration_id": config.configuration_id,
                "number": len(self.trials),
                "name": config.name,
                "phase": phase,
                "replicate": replicate,
                "config": config.to_dict(),
                "epochs": config.epochs,
                **extra,
            }
        )

    # Figures.

    def _clock(self, event: Event) -> None:
        """Count the seconds of this sitting and of those before it."""
        if event["event"] in ("sweep_started", "sweep_resumed"):
            self._seconds_before, self._sat_down = self.seconds, event["time"]
        self._now = event["time"]

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of all sittings, up to the last event."""
        return self._seconds_before + self._now - self._sat_down

    @property
    def device_seconds(self) -> float:
        """Seconds that trials trained, times the share of a GPU or the CPU cores that they held."""
        return sum(trial.seconds * trial.devices for trial in self.trials.values())

    def budget_spent(self) -> str | None:
        """Say which part of the spec's budget is spent, if one is."""
        for unit, seconds in (("hours", self.seconds), ("device_hours", self.device_seconds)):
            limit = getattr(self.spec.budget, unit)
            if limit is not None and seconds >= 3600 * limit:
                return f"its budget of {limit:g} {unit.replace('_', '-')} is spent"
        return None

    @property
    def _sign(self) -> int:
        return 1 if self.spec.objective.mode == "max" else -1

    def _curve(self, trial: Trial) -> list[float]:
        """Return the objective after each epoch, larger being better; so far best if at: best."""
        metric = self.spec.objective.metric
        values = [self._sign * one.values[metric] for one in trial.measurements]
        if self.spec.objective.at == "last":
            return values
        best = [-math.inf]
        for value in values:
            best.append(value if value > best[-1] else best[-1])
        return best[1:]

    def _ranked(self, trials: Iterable[Trial]) -> list[Trial]:
        scored = [(self.objective(trial), trial) for trial in trials]
        known = [(self._sign * value, trial) for value, trial in scored if value is not None]
        return [trial for _, trial in sorted(known, key=lambda pair: (-pair[0], pair[1].number))]


_PROPOSED = ("configuration_id", "number", "name", "phase", "replicate", "config", "epochs")


def _make_searcher(spec: SweepSpec) -> Any:
    name = spec.searcher.name
    if name not in SEARCHERS:
        raise SpecError(f"searcher must be one of {', '.join(SEARCHERS)}, but got {name!r}")
    try:
        return SEARCHERS[name](spec.searcher, spec.search_space, spec.seed)
    except ValueError as error:
        raise SpecError(str(error)) from error


def _make_scheduler(spec: SweepSpec) -> Any:
    name = spec.scheduler.name
    if name not in SCHEDULERS:
        raise SpecError(f"scheduler must be one of {', '.join(SCHEDULERS)}, but got {name!r}")
    space = spec.search_space
    epochs = max(
        spec.config(space.at(point), seed=spec.seed).epochs for point in space.samples_of_each()
    )
    return SCHEDULERS[name](spec.scheduler, epochs)
