"""The sweep's mind: what to train next, what to stop, when it is over. Knows nothing of Ray.

Every change goes through the ledger first and is then applied to the state, live and on resume
alike; so a resumed sweep stands where the ledger stands, to the last digit.
"""

import math
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, replace
from typing import Any

from tune.run.ledger import Event
from tune.run.trial import FINISHED, Status, Trial
from tune.sweep.bundle import Bundle, Fusing
from tune.sweep.schedulers import Cut
from tune.sweep.searchers.searcher import KnownTrial
from tune.sweep.spec import SweepSpec
from tune.sweep.state import SweepState

ALIKE = 5
"""So many trials in a row that fail with the same error stop their sweep."""


def _gist(error: str) -> str:
    """Return an error without the file that holds all of it, which each trial has its own of."""
    return error.partition(" (all of it in ")[0]


class Sweep(SweepState):
    """A sweep in progress: its state, and the decisions that change it."""

    def __init__(
        self,
        spec: SweepSpec,
        *,
        fingerprint: str,
        commit: Callable[[Event], None] = lambda _event: None,
        events: Iterable[Event] = (),
    ) -> None:
        """Stand where ``events`` end, and end the trials whose last measurement says so.

        Args:
            spec: What to search.
            fingerprint: The dataset's, part of every trial's id.
            commit: Called with each new event before the sweep acts on it.
            events: The ledger so far.

        Raises:
            SpecError: Searcher or scheduler are unknown or do not go with the space.
        """
        super().__init__(spec, events=events)
        self.stopping: str | None = None
        """Why the sweep is coming to a stop, if it is."""
        self.ends_as_designed = False
        """Whether the spec asks for that stop."""
        self._fingerprint = fingerprint
        self._write = commit
        self._asked_to_stop: dict[str, str] = {}
        self._faults: dict[str, tuple[str | None, int]] = {}
        self._failed_alike: list[str] = []
        failed = (trial for trial in self.trials.values() if trial.status is Status.FAILED)
        self._accepted = {_gist(trial.reason) for trial in failed}
        for trial_id in sorted(self._unfinished, key=lambda one: self.trials[one].number):
            self._settle(self.trials[trial_id])

    def next_trial(self) -> Trial | None:
        """Return the next trial to run, or None if there is none yet, or none any more."""
        if self.stopping is not None:
            return None
        if not self._waiting and not self._exhausted:
            self._propose()
        if self._exhausted and (not self._waiting or self._new_finalists):
            self._propose_finalists()
        if not self._waiting:
            return None
        # The longest first, as far as known, so that no slot is left with it when all others end.
        following = max(self._waiting, key=lambda one: self._expected_seconds(self.trials[one]))
        self._waiting.remove(following)
        return self.trials[following]

    def next_bundle(self, devices: int) -> Bundle | None:
        """Return what the next free worker should train, or None if there is nothing (yet).

        Replicates and folds of one configuration, which no scheduler stops, may be trained as one.

        Args:
            devices: Cores or GPUs, over which the trials that are left are spread evenly.
        """
        if self.spec.folds is not None and self.stopping is None:
            while not self._exhausted:
                self._propose()
        first = self.next_trial()
        if first is None:
            return None
        bound = self._bundles.get(first.id)
        if bound is None and (mates := self._mates(first, devices)):
            known = self._last_fusing(first)
            if known is None:
                return self._take([first.id, *mates], probe=True)
            bound = replace(known, trials=(first.id, *mates))
            self.decide_fusing(bound)
        if bound is None:
            return self._take([first.id])
        waiting = {first.id, *self._waiting}
        return self._take([one for one in bound.trials if one in waiting], bound)

    def decide_fusing(self, fusing: Fusing) -> None:
        """Note whether trials are trained as one; where not, each waits for a worker of its own."""
        self._commit({"event": "fusing_decided", **asdict(fusing)})

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
        """Go on under a larger spec (see `tune.sweep.extend`); what was trained counts."""
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
            worker: ``host``, ``device``, ``devices`` and ``parameters`` of the `Trial`.
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
        if trial_id in self.lost and epoch >= len(trial.measurements):
            self._commit({"event": "files_made_again", "trial": trial_id})
        over = trial.ended and trial_id not in self.lost
        return over or self.stopping is not None

    def train_again(self, trial_id: str) -> None:
        """Let a trial that was stopped early train up to that epoch once more, for its files."""
        self._commit({"event": "files_lost", "trial": trial_id})

    def open_test(self, trial_id: str) -> None:
        """Note that the test split is opened for a trial, before anybody looks."""
        self._commit({"event": "test_opened", "trial": trial_id})

    def attempt_failed(self, trial_id: str, error: str, *, fault: str | None = None) -> None:
        """Let a trial whose attempt failed go on from its checkpoint, if it may; else end it.

        Args:
            trial_id: The trial.
            error: What happened, in one line.
            fault: Name of the signal of a fault that ended its worker; the same one after the same
                epoch is not tried a third time.
        """
        moment = (fault, len(self.trials[trial_id].measurements))
        again = fault is not None and self._faults.get(trial_id) == moment
        self._faults[trial_id] = moment
        if again:
            self.fail(trial_id, f"{error}; twice in the same epoch, so it is not tried again")
        elif self._failures[trial_id] < self.spec.retries:
            self._commit({"event": "attempt_failed", "trial": trial_id, "error": error})
        else:
            self.fail(trial_id, error)

    def retry_failed(self) -> int:
        """Let every failed trial be trained once more; return how many there are."""
        failed = [t.id for t in self.trials.values() if t.status is Status.FAILED]
        if failed:
            self._commit({"event": "failed_retried", "trials": failed})
        self._accepted.clear()
        return len(failed)

    def lose_attempt(self, trial_id: str, node: str) -> None:
        """Let a trial whose node died go on elsewhere from its checkpoint, as often as it takes."""
        self._commit({"event": "attempt_lost", "trial": trial_id, "node": node})

    def lose_node(self, node: str) -> None:
        """Note that a node died."""
        self._commit({"event": "node_lost", "node": node})

    def join_node(self, node: str) -> None:
        """Note that a node has come to the sweep while it runs."""
        self._commit({"event": "node_joined", "node": node})

    def out_of_memory(self, trial_id: str, figures: str) -> None:
        """Let a trial that did not fit into memory try once more alone; then end it."""
        bundle = self._bundles.get(trial_id)
        if bundle is not None:
            self.decide_fusing(replace(bundle, fused=False, reason=figures))
        elif trial_id in self.alone:
            self._give_up(trial_id, Status.INFEASIBLE, figures)
        else:
            self._commit({"event": "out_of_memory", "trial": trial_id, "error": figures})

    def fail(self, trial_id: str, error: str) -> None:
        """End a trial whose last attempt failed, unless it had reached its end before.

        When `ALIKE` trials in a row have failed with the same error, the sweep stops: the others
        would fail too. An error that it had when this session began does not stop it again.
        """
        self._give_up(trial_id, Status.FAILED, error)
        gist = _gist(error)
        if self._failed_alike[:1] != [gist]:
            self._failed_alike.clear()
        self._failed_alike.append(gist)
        if len(self._failed_alike) >= ALIKE and gist not in self._accepted:
            self.stop(
                f"the last {len(self._failed_alike)} trials failed alike ({gist}); mend the cause "
                "and give --retry-failed to train them once more"
            )

    def stop(self, reason: str, *, as_designed: bool = False) -> None:
        """Propose nothing more and tell every worker at its next report to stop.

        Args:
            reason: Why, in words.
            as_designed: Whether the spec asks for this end, as a spent budget does.
        """
        if self.stopping is None:
            self.stopping, self.ends_as_designed = reason, as_designed

    def stop_trial(self, trial_id: str, reason: str) -> None:
        """End a trial early: at its next report, or at once if no worker has it."""
        if trial_id in self._waiting:
            self._end(self.trials[trial_id], Status.EARLY_STOPPED, reason)
        else:
            self._asked_to_stop[trial_id] = reason

    def budget_spent(self) -> str | None:
        """Say which part of the spec's budget is spent, if one is."""
        for unit, seconds in (("hours", self.seconds), ("device_hours", self.device_seconds)):
            limit = getattr(self.spec.budget, unit)
            if limit is not None and seconds >= 3600 * limit:
                return f"its budget of {limit:g} {unit.replace('_', '-')} is spent"
        return None

    def close(self) -> None:
        """Write how the sweep ended: finished, or stopped with trials still to go on."""
        if self.finished:
            self._commit({"event": "sweep_finished"})
        else:
            self._commit({"event": "sweep_stopped", "reason": self.stopping or "it was closed"})

    def _commit(self, event: Event) -> None:
        event = {**event, "time": round(time.time(), 3)}
        self._write(event)
        self._apply(event)

    # How trials end.

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
        if status is not Status.FAILED:
            self._failed_alike.clear()
        self._commit(
            {"event": "trial_ended", "trial": trial.id, "status": status, "reason": reason}
        )

    def _give_up(self, trial_id: str, status: Status, reason: str) -> None:
        """End a trial that cannot be trained; one that ended before goes without its files."""
        if trial_id in self.lost:
            self._commit({"event": "files_given_up", "trial": trial_id, "error": reason})
        elif self.trials[trial_id].status not in FINISHED:
            self._end(self.trials[trial_id], status, reason)

    def _explain(self, cut: Cut) -> str:
        value, needed = (self._sign * number for number in (cut.value, cut.needed))
        return (
            f"{self.spec.objective.metric} {value:.4f} at epoch {cut.epoch} did not reach "
            f"{needed:.4f}, the mark of {cut.rule}"
        )

    # What is trained as one.

    def _mates(self, first: Trial, devices: int) -> list[str]:
        """Return the waiting trials that ``first`` may be trained with, no more than its share."""
        last = self._last_fusing(first)
        if not self._may_be_fused(first) or (last is not None and not last.fused):
            return []
        share = -(-len(self._unfinished) // devices)
        waiting = (self.trials[one] for one in self._waiting)
        alike = [
            trial.id
            for trial in waiting
            if trial.configuration_id == first.configuration_id and self._may_be_fused(trial)
        ]
        return alike[: share - 1]

    def _may_be_fused(self, trial: Trial) -> bool:
        fresh = not trial.measurements and trial.id not in self._bundles.keys() | self.alone
        whole = trial.phase == "finalist" or self.spec.scheduler.name == "none"
        return fresh and whole and self.spec.fuse != "never"

    def _last_fusing(self, trial: Trial) -> Fusing | None:
        """Return the last decision on trials of the same configuration, if there was one."""
        of_configuration = (
            one
            for one in reversed(self.fusings)
            if self.trials[one.trials[0]].configuration_id == trial.configuration_id
        )
        return next(of_configuration, None)

    def _take(
        self, trial_ids: list[str], bound: Fusing | None = None, *, probe: bool = False
    ) -> Bundle:
        for one in trial_ids:
            if one in self._waiting:
                self._waiting.remove(one)
        return Bundle(
            trials={one: self.trials[one].config for one in trial_ids},
            folder=trial_ids[0] if bound is None else bound.folder,
            alone=trial_ids[0] in self.alone,
            channels_last=bound is None or bound.channels_last,
            probe=probe,
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
        """Propose the other replicates of the finalists: when the search is over.

        Where nothing is stopped early every trial that ends whole is one, so no slot need wait for
        the last of them.
        """
        if self._searching and not self._new_finalists:
            return
        chosen = self._choose()
        known = self._finalists or []
        if set(chosen) - set(known) or (self._finalists is None and not self._searching):
            self._commit({"event": "finalists_chosen", "trials": chosen})
        for replicate, first in self._replicates_left():
            config = self.spec.config(first.config, seed=self.spec.seed + replicate)
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
