"""The sweep's mind: what to train next, what to stop, when it is over. Knows nothing of Ray.

Every change goes through the ledger first and is then applied by `Sweep._apply`, live and on
resume alike; so a resumed sweep stands where the ledger stands, to the last digit.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import yaml

from tune import objectives
from tune.ledger import Event
from tune.schedulers import Cut, make_scheduler
from tune.schema import FINISHED, Figures, Measurement, Status, Trial
from tune.searchers.registry import make_searcher
from tune.searchers.searcher import KnownTrial
from tune.space import Point
from tune.spec import SweepSpec, parse_spec


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
        self.known: tuple[KnownTrial, ...] | None = None
        self._exhausted = False
        self._finalists: list[str] | None = None
        self._waiting: list[str] = []
        self._unfinished: set[str] = set()
        self._lost: set[str] = set()
        self.alone: set[str] = set()
        self._cuts: dict[str, Cut] = {}
        self._asked_to_stop: dict[str, str] = {}
        self.hear(events)
        self._settle_all()

    def _configure(self, spec: SweepSpec) -> None:
        self.spec = spec
        self._space = spec.search_space
        self._searcher = make_searcher(spec)
        self.scheduler = make_scheduler(spec)

    @property
    def finished(self) -> bool:
        """True if every trial that the sweep will ever have has ended."""
        return self._finalists is not None and not self._unfinished | self._lost

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

    @property
    def front(self) -> list[Trial]:
        """The Pareto front of the configurations trained whole, by the first objective."""
        whole = [
            trial
            for trial in self._ranked(self.trials.values())
            if trial.status is Status.COMPLETED and trial.phase == "search"
        ]
        scored = [(objectives.scores(self.spec.objectives, trial), trial) for trial in whole]
        known = [(scores, trial) for scores, trial in scored if scores is not None]
        return [known[one][1] for one in objectives.undominated([row for row, _ in known])]

    def objective(self, trial: Trial) -> float | None:
        """Return the metric that the spec compares, or None before the first finite one."""
        return objectives.value(self.spec.objective, trial)

    def values(self, trial: Trial) -> dict[str, float | None]:
        """Return a trial's value of every objective by its metric."""
        return {one.metric: objectives.value(one, trial) for one in self.spec.objectives}

    def worth_keeping(self, count: int) -> set[str]:
        """Return the trials whose weights should stay: best, Pareto front, all of the finalists."""
        best = self._ranked(self.trials.values())[:count]
        if len(self.spec.objectives) > 1:
            best += self.front
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

    def warm_start(self, run: str, known: Iterable[KnownTrial], *, unfit: int) -> None:
        """Let the searcher hear another run's trials, before its first proposal.

        Args:
            run: The other run.
            known: Its trials whose configurations are points of this space.
            unfit: How many of its trials are none.
        """
        trials = [vars(one) for one in known]
        self._commit({"event": "warm_started", "run": run, "trials": trials, "unfit": unfit})

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
        if trial_id in self._lost and epoch >= len(trial.measurements):
            self._commit({"event": "files_made_again", "trial": trial_id})
        over = trial.ended and trial_id not in self._lost
        return over or self.stopping is not None

    def train_again(self, trial_id: str) -> None:
        """Let a trial that was stopped early train up to the same epoch once more, for its files."""
        self._commit({"event": "files_lost", "trial": trial_id})

    def retry(self, trial_id: str, error: str) -> None:
        """Note that a trial's attempt failed and that it will go on from its checkpoint."""
        self._commit({"event": "attempt_failed", "trial": trial_id, "error": error})

    def out_of_memory(self, trial_id: str, figures: str) -> None:
        """Let a trial that did not fit into memory try once more alone; then end it."""
        if trial_id in self.alone:
            self._end(self.trials[trial_id], Status.INFEASIBLE, figures)
        else:
            self._commit({"event": "out_of_memory", "trial": trial_id, "error": figures})

    def fail(self, trial_id: str, error: str) -> None:
        """End a trial whose last attempt failed, unless it had reached its end before."""
        if self.trials[trial_id].status not in FINISHED:
            self._end(self.trials[trial_id], Status.FAILED, error)

    def stop(self, reason: str) -> None:
        """Propose nothing more and tell every worker at its next report to stop."""
        self.stopping = self.stopping or reason

    def stop_trial(self, trial_id: str, reason: str) -> None:
        """End a trial early: at its next report, or at once if no worker has it."""
        if trial_id in self._waiting:
            self._end(self.trials[trial_id], Status.EARLY_STOPPED, reason)
        else:
            self._asked_to_stop[trial_id] = reason

    def hear(self, events: Iterable[Event]) -> None:
        """Take in events that stand in the ledger."""
        for event in events:
            self._apply(event)

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
                self._searcher.hear_skipped(event["point"])
            case "warm_started":
                self.known = tuple(KnownTrial(**one) for one in event["trials"])
                self._searcher.hear_known(self.known)
            case "space_exhausted":
                self._exhausted = True
            case "finalists_chosen":
                self._finalists = list(event["trials"])
            case "trial_started":
                trial = self.trials[event["trial"]]
                trial.devices = event["devices"]
                trial.status = trial.status if trial.ended else Status.RUNNING
            case "measurement":
                self._apply_measurement(event)
            case "trial_ended":
                self._apply_ended(event)
            case "sweep_stopped":
                self._interrupt(event["reason"])
            case "out_of_memory":
                self.alone.add(event["trial"])
                self.trials[event["trial"]].status = Status.PENDING
                self._waiting.append(event["trial"])
            case "files_lost":
                self._lost.add(event["trial"])
                self._waiting.append(event["trial"])
            case "files_made_again":
                self._lost.discard(event["trial"])
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
        if self.known is not None:
            self._searcher.hear_known([k for k in self.known if self._space.holds(k.point)])
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
        self._waiting = [one for one in self.trials if one in self._unfinished | self._lost]

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
        trial.measurements.append(
            Measurement(epoch=event["epoch"], values=values, time=event["time"])
        )
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
        whole = trial.status is Status.COMPLETED
        scores = objectives.scores(self.spec.objectives, trial) if whole else None
        self._searcher.hear_ended(trial.id, finite, scores)

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
        elif trial.id in self._asked_to_stop:
            self._end(trial, Status.EARLY_STOPPED, self._asked_to_stop[trial.id])

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
        return sum(trial.device_seconds for trial in self.trials.values())

    def budget_spent(self) -> str | None:
        """Say which part of the spec's budget is spent, if one is."""
        for unit, seconds in (("hours", self.seconds), ("device_hours", self.device_seconds)):
            limit = getattr(self.spec.budget, unit)
            if limit is not None and seconds >= 3600 * limit:
                return f"its budget of {limit:g} {unit.replace('_', '-')} is spent"
        return None

    @property
    def _sign(self) -> int:
        return objectives.sign(self.spec.objective)

    def _curve(self, trial: Trial) -> list[float]:
        return objectives.curve(self.spec.objective, trial)

    def _ranked(self, trials: Iterable[Trial]) -> list[Trial]:
        scored = [(self.objective(trial), trial) for trial in trials]
        known = [(self._sign * value, trial) for value, trial in scored if value is not None]
        return [trial for _, trial in sorted(known, key=lambda pair: (-pair[0], pair[1].number))]


_PROPOSED = ("configuration_id", "number", "name", "phase", "replicate", "config", "epochs")
