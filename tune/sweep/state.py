"""Where a sweep stands: what its ledger says, event by event. Decides nothing."""

import math
from collections import Counter
from collections.abc import Iterable

from fairsweep.yaml_text import load_yaml
from tune.run import objective as objectives
from tune.run.ledger import Event
from tune.run.trial import FINISHED, Figures, Measurement, Status, Trial
from tune.sweep.bundle import Fusing
from tune.sweep.pareto import undominated
from tune.sweep.schedulers import Cut, make_scheduler
from tune.sweep.searchers.registry import make_searcher
from tune.sweep.searchers.searcher import KnownTrial
from tune.sweep.space import Point
from tune.sweep.spec import SweepSpec, parse_spec


class SweepState:
    """All that follows from a ledger. Each kind of event changes it in one method, ``_on_KIND``."""

    def __init__(self, spec: SweepSpec, *, events: Iterable[Event] = ()) -> None:
        """Stand where ``events`` end.

        Args:
            spec: What to search, unless the events say it.
            events: The ledger so far.

        Raises:
            SpecError: Searcher or scheduler are unknown or do not go with the space.
        """
        self._configure(spec)
        self.trials: dict[str, Trial] = {}
        self.known: tuple[KnownTrial, ...] | None = None
        """Another run's trials that the searcher was told at the start."""
        self.alone: set[str] = set()
        """Trials that did not fit into memory beside others."""
        self.fusings: list[Fusing] = []
        """Every decision whether trials are trained as one, in their order."""
        self.lost: set[str] = set()
        """Trials that have ended, and are trained again for their files."""
        self.lost_nodes: list[str] = []
        """Every node that died while it was part of the sweep, in their order."""
        self.openings: list[str] = []
        """The trial of each time that the test split was opened."""
        self._begun = False
        self._seconds_before = self._sat_down = self._now = 0.0
        self._proposals = 0
        self._points: dict[str, Point] = {}
        self._exhausted = False
        self._finalists: list[str] | None = None
        self._waiting: list[str] = []
        self._bundles: dict[str, Fusing] = {}
        self._seconds_of: dict[str, float] = {}
        self._whole = 0
        self._failures: Counter[str] = Counter()
        self._unfinished: set[str] = set()
        self._reached: dict[str, float] = {}
        self._cuts: dict[str, Cut] = {}
        self.hear(events)

    def _configure(self, spec: SweepSpec) -> None:
        self.spec = spec
        self._space = spec.search_space
        self._searcher = make_searcher(spec)
        self.scheduler = make_scheduler(spec)

    def hear(self, events: Iterable[Event]) -> None:
        """Take in events that stand in the ledger."""
        for event in events:
            self._apply(event)

    # What there is to know.

    @property
    def finished(self) -> bool:
        """True if every trial that the sweep will ever have has ended."""
        left = self._unfinished | self.lost
        if self._finalists is None or left or self._replicates_left():
            return False
        return set(self._finalists) == set(self._choose())

    @property
    def expected(self) -> int | None:
        """How many trials the sweep will have, as far as can be known."""
        if self._finalists is not None and not self._searching:
            return len(self.trials) + len(self._replicates_left())
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
        whole = self._search_trained_whole()
        scored = [(objectives.scores(self.spec.objectives, trial), trial) for trial in whole]
        known = [(scores, trial) for scores, trial in scored if scores is not None]
        return [known[one][1] for one in undominated([row for row, _ in known])]

    def objective(self, trial: Trial) -> float | None:
        """Return the metric that the spec compares, or None before the first finite one."""
        return objectives.value(self.spec.objective, trial)

    def folder(self, trial_id: str) -> str:
        """Return the folder below ``checkpoints`` with the state that a trial goes on from."""
        bundle = self._bundles.get(trial_id)
        return trial_id if bundle is None else bundle.folder

    def trials_in(self, folder: str) -> list[Trial]:
        """Return the trials that leave files in this folder below ``checkpoints``."""
        if folder in self.trials:
            return [self.trials[folder]]
        bound = {one for one, bundle in self._bundles.items() if bundle.folder == folder}
        return [self.trials[one] for one in sorted(bound)]

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

    def _expected_seconds(self, trial: Trial) -> float:
        """Return how long another trial of its configuration took; 0 where none has ended."""
        return self._seconds_of.get(trial.configuration_id, 0.0)

    @property
    def _searching(self) -> bool:
        """True while a trial of the search has not ended."""
        return any(self.trials[one].phase == "search" for one in self._unfinished)

    @property
    def _new_finalists(self) -> bool:
        """True if trials have ended that are finalists whatever the others will do."""
        each = self.spec.scheduler.name == "none" and self.spec.replicates > 1
        return each and self._whole > len(self._finalists or ())

    def _search_trained_whole(self) -> list[Trial]:
        """Return the trials of the search that were trained to their end, best first."""
        return [
            trial
            for trial in self._ranked(self.trials.values())
            if trial.status is Status.COMPLETED and trial.phase == "search"
        ]

    def _choose(self) -> list[str]:
        """Return the finalists among the trials of the search that have ended, best first."""
        whole = [trial.id for trial in self._search_trained_whole()]
        return whole if self.spec.scheduler.name == "none" else whole[: self.spec.finalists]

    def _replicates_left(self) -> list[tuple[int, Trial]]:
        """Return which replicates of which finalists are still to be proposed, in their order."""
        proposed = {(trial.configuration_id, trial.replicate) for trial in self.trials.values()}
        finalists = [self.trials[one] for one in self._finalists or ()]
        return [
            (replicate, trial)
            for replicate in range(1, self.spec.replicates)
            for trial in finalists
            if (trial.configuration_id, replicate) not in proposed
        ]

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of all sittings, up to the last event."""
        return self._seconds_before + self._now - self._sat_down

    @property
    def device_seconds(self) -> float:
        """Seconds that trials trained, times the share of a GPU or the CPU cores that they held."""
        return sum(trial.device_seconds for trial in self.trials.values())

    @property
    def _sign(self) -> int:
        return objectives.sign(self.spec.objective)

    def _curve(self, trial: Trial) -> list[float]:
        return objectives.curve(self.spec.objective, trial)

    def _ranked(self, trials: Iterable[Trial]) -> list[Trial]:
        scored = [(self.objective(trial), trial) for trial in trials]
        known = [(self._sign * value, trial) for value, trial in scored if value is not None]
        return [trial for _, trial in sorted(known, key=lambda pair: (-pair[0], pair[1].number))]

    # What each event changes.

    def _apply(self, event: Event) -> None:
        if event["event"] in ("sweep_started", "sweep_resumed"):
            self._seconds_before, self._sat_down = self.seconds, event["time"]
        self._now = event["time"]
        getattr(self, f"_on_{event['event']}")(event)

    def _on_sweep_started(self, event: Event) -> None:
        self._configure(_read_spec(event))
        self._begun = True

    def _on_sweep_resumed(self, _event: Event) -> None:
        self._interrupt("its sweep was killed")
        self._failures.clear()
        self._queue_unfinished()

    def _on_sweep_stopped(self, event: Event) -> None:
        self._interrupt(event["reason"])

    def _on_sweep_finished(self, event: Event) -> None:
        """Change nothing: that nothing is left to do follows from the trials."""

    def _on_warm_started(self, event: Event) -> None:
        self.known = tuple(KnownTrial(**one) for one in event["trials"])
        self._searcher.hear_known(self.known)

    def _on_proposal_skipped(self, event: Event) -> None:
        self._proposals = event["proposal"] + 1
        self._searcher.hear_skipped(event["point"])

    def _on_space_exhausted(self, _event: Event) -> None:
        self._exhausted = True

    def _on_finalists_chosen(self, event: Event) -> None:
        self._finalists = list(event["trials"])

    def _on_trial_started(self, event: Event) -> None:
        trial = self.trials[event["trial"]]
        trial.devices = event["devices"]
        trial.status = trial.status if trial.ended else Status.RUNNING

    def _on_attempt_failed(self, event: Event) -> None:
        self._failures[event["trial"]] += 1
        self._wait_again(self.trials[event["trial"]])

    def _on_failed_retried(self, event: Event) -> None:
        """Let trials that had failed be trained on; the searcher hears of their end once more."""
        for trial in (self.trials[one] for one in event["trials"]):
            trial.status, trial.reason = Status.PENDING, ""
            self._unfinished.add(trial.id)
            if trial.phase == "search":
                self._searcher.hear_proposed(trial.id, self._points[trial.id])
        self._queue_unfinished()

    def _on_attempt_lost(self, event: Event) -> None:
        """Let the trial go on elsewhere; what its node did is no failure of its own."""
        self.trials[event["trial"]].nodes_lost += 1
        self._wait_again(self.trials[event["trial"]])

    def _on_node_lost(self, event: Event) -> None:
        self.lost_nodes.append(event["node"])

    def _on_node_joined(self, _event: Event) -> None:
        """Change nothing: how many trials run at once is no part of the state."""

    def _wait_again(self, trial: Trial) -> None:
        """Put a trial that has lost its worker back in front, to go on from its checkpoint."""
        trial.status = trial.status if trial.ended else Status.PENDING
        if trial.id in self._unfinished | self.lost and trial.id not in self._waiting:
            self._waiting.insert(0, trial.id)

    def _on_test_opened(self, event: Event) -> None:
        self.openings.append(event["trial"])

    def _on_out_of_memory(self, event: Event) -> None:
        self.alone.add(event["trial"])
        self._wait_again(self.trials[event["trial"]])

    def _on_fusing_decided(self, event: Event) -> None:
        """Bind the trials together, or let each wait for a worker of its own."""
        told = {key: event[key] for key in ("fused", "gain", "channels_last", "reason")}
        fusing = Fusing(trials=tuple(event["trials"]), **told)
        self.fusings.append(fusing)
        for trial_id in reversed(fusing.trials):
            if fusing.fused:
                self._bundles[trial_id] = fusing
            else:
                self._bundles.pop(trial_id, None)
                self._wait_again(self.trials[trial_id])

    def _on_files_lost(self, event: Event) -> None:
        self.lost.add(event["trial"])
        self._waiting.append(event["trial"])

    def _on_files_made_again(self, event: Event) -> None:
        self.lost.discard(event["trial"])

    def _on_files_given_up(self, event: Event) -> None:
        self.lost.discard(event["trial"])

    def _on_trial_proposed(self, event: Event) -> None:
        trial = Trial(**{key: event[key] for key in _PROPOSED}, id=event["trial"])
        self.trials[trial.id] = trial
        self._unfinished.add(trial.id)
        self._waiting.append(trial.id)
        if trial.phase == "search":
            self._proposals = event["proposal"] + 1
            self._points[trial.id] = event["point"]
            self._searcher.hear_proposed(trial.id, event["point"])

    def _on_sweep_extended(self, event: Event) -> None:
        """Begin anew with a larger spec, and let its searcher and scheduler hear what is known."""
        spec = _read_spec(event)
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
        self._whole = len(self._search_trained_whole())
        self._queue_unfinished()

    def _queue_unfinished(self) -> None:
        self._waiting = [one for one in self.trials if one in self._unfinished | self.lost]

    def _give_epochs(self, trial: Trial, epochs: int) -> None:
        """Let a trial that was trained whole, or has not ended, go on to ``epochs``."""
        if trial.epochs < epochs and trial.status not in FINISHED - {Status.COMPLETED}:
            trial.epochs, trial.config = epochs, {**trial.config, "epochs": epochs}
            trial.status = Status.PENDING if trial.status is Status.COMPLETED else trial.status
            self._unfinished.add(trial.id)

    def _on_measurement(self, event: Event) -> None:
        trial = self.trials[event["trial"]]
        told = event["values"].items()
        values = Figures({name: math.nan if value is None else value for name, value in told})
        trial.measurements.append(
            Measurement(epoch=event["epoch"], values=values, time=event["time"])
        )
        trial.seconds += values["seconds"]
        for key in ("host", "device", "parameters", "devices"):
            setattr(trial, key, event.get(key, getattr(trial, key)))
        if trial.phase == "search":
            before = self._reached.get(trial.id, -math.inf)
            point = objectives.curve_point(self.spec.objective, trial.measurements[-1], before)
            self._reached[trial.id] = point
            cut = self.scheduler.hear(trial.id, event["epoch"], point)
            if cut is not None:
                self._cuts[trial.id] = cut

    def _on_trial_ended(self, event: Event) -> None:
        trial = self.trials[event["trial"]]
        trial.status, trial.reason = Status(event["status"]), event["reason"]
        self._unfinished.discard(trial.id)
        if trial.status is Status.COMPLETED:
            self._seconds_of.setdefault(trial.configuration_id, trial.seconds)
            self._whole += trial.phase == "search"
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


_PROPOSED = ("configuration_id", "number", "name", "phase", "replicate", "config", "epochs")


def _read_spec(event: Event) -> SweepSpec:
    return parse_spec(load_yaml(event["spec"], "the ledger"), "the ledger", recorded=True)
