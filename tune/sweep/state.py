"""The state of a sweep: its trials, what is left to train, its finalists and its best trials.

`tune.sweep.replay` changes it by events; this module makes no decisions.
"""

import math
from collections import Counter, defaultdict
from collections.abc import Iterable

from tune.run import incumbent as incumbents
from tune.run import objective as objectives
from tune.run.trial import Status, Trial
from tune.sweep.bundle import Fusing
from tune.sweep.clock import WorkedTime
from tune.sweep.limits import network_key
from tune.sweep.pareto import undominated
from tune.sweep.queue import Queue
from tune.sweep.schedulers.scheduler import Scheduler
from tune.sweep.search import Search
from tune.sweep.spec import SweepSpec


class SweepState:
    """The state of a sweep, which follows from its ledger."""

    def __init__(self, spec: SweepSpec) -> None:
        """Start without trials.

        Raises:
            SpecError: Searcher or scheduler are unknown or do not fit the space.
        """
        self.spec = spec
        self.begun = False
        """Whether a driver session has begun."""
        self.trials: dict[str, Trial] = {}
        self.search = Search(spec)
        self.queue = Queue()
        self.finalists: list[str] | None = None
        """The most recent choice of finalists, best first; None before the first choice."""
        self.trained_whole = 0
        """Number of completed trials of the search."""
        self.failures: Counter[str] = Counter()
        """Number of failed attempts of each trial in this driver session."""
        self.exclusive: set[str] = set()
        """Trials that need a whole GPU, because they did not fit into memory next to others."""
        self.fusings: list[Fusing] = []
        """All decisions about fusing, in order."""
        self.bundles: dict[str, Fusing] = {}
        """Trial id → the decision by which it is trained fused with others."""
        self.seconds_of: dict[str, float] = {}
        """Configuration id → duration of its first complete training."""
        self.latencies: dict[str, float] = {}
        """Key of a network (`tune.sweep.limits`) → its measured milliseconds for one picture."""
        self.networks: defaultdict[str, list[Trial]] = defaultdict(list)
        """Key of a network → its trials, in a sweep that measures latencies."""
        self.lost_nodes: list[str] = []
        """All nodes that died during the sweep, in order."""
        self.openings: list[str] = []
        """The trial id of each opening of the test split."""
        self.worked = WorkedTime()
        self._values: dict[str, tuple[int, float | None]] = {}
        """Trial id → number of its epochs, and the objective's value after them."""

    @property
    def finished(self) -> bool:
        """Whether all trials have ended and no more will be proposed."""
        if self.finalists is None or self.queue.left or self.replicates_left():
            return False
        return set(self.finalists) == set(self.choose_finalists())

    @property
    def expected(self) -> int:
        """Expected total number of trials."""
        if self.finalists is not None and not self.searching:
            return len(self.trials) + len(self.replicates_left())
        size = self.search.size
        finalists = size if self.spec.scheduler.name == "none" else min(size, self.spec.finalists)
        # The points of `first` are part of a grid, and come in addition to a number of samples.
        further = 0 if self.spec.searcher.name == "grid" else len(self.spec.first)
        return size + further + finalists * (self.spec.replicates - 1)

    @property
    def scheduler(self) -> Scheduler:
        """The scheduler."""
        return self.search.scheduler

    @property
    def seconds(self) -> float:
        """Total wall-clock seconds of all driver sessions, up to the last event."""
        return self.worked.seconds

    @property
    def device_seconds(self) -> float:
        """Seconds of training of all trials, multiplied by their GPUs or CPU cores."""
        return sum(trial.device_seconds for trial in self.trials.values())

    # The best trials.

    @property
    def incumbent(self) -> Trial | None:
        """The trial that represents the best configuration so far (`tune.run.incumbent`)."""
        trial_id = incumbents.incumbent(self.trainings())
        return None if trial_id is None else self.trials[trial_id]

    @property
    def front(self) -> list[Trial]:
        """The Pareto front of the completed trials of the search, in order of first objective."""
        whole = self._search_trained_whole()
        scored = [(objectives.scores(self.spec.objectives, trial), trial) for trial in whole]
        known = [(scores, trial) for scores, trial in scored if scores is not None]
        return [known[row][1] for row in undominated([scores for scores, _ in known])]

    def objective(self, trial: Trial) -> float | None:
        """Return the value of the first objective, or None if there is no finite one yet."""
        epochs = len(trial.measurements)
        known = self._values.get(trial.id)
        if known is None or known[0] != epochs:
            # Trials have many epochs, and their values are used often.
            known = self._values[trial.id] = epochs, objectives.value(self.spec.objective, trial)
        return known[1]

    def values(self, trial: Trial) -> dict[str, float | None]:
        """Return the trial's values of all objectives, by metric."""
        return {each.metric: objectives.value(each, trial) for each in self.spec.objectives}

    def ranked(self, trials: Iterable[Trial]) -> list[Trial]:
        """Return the trials that have a value, best first; the earlier one in case of ties."""
        sign = objectives.sign(self.spec.objective)
        scored = [(self.objective(trial), trial) for trial in trials]
        known = [(sign * value, trial) for value, trial in scored if value is not None]
        return [trial for _, trial in sorted(known, key=lambda pair: (-pair[0], pair[1].number))]

    def worth_keeping(self, count: int) -> set[str]:
        """Return the trials whose weights must be kept, including the incumbent.

        These are the best trials, the best completed ones (for `tune.run.ensemble`), the best trial
        of each of the best configurations, the Pareto front, all trials of finalists, and all
        trials of configurations with unfinished folds.
        """
        ranked_trials = self.ranked(self.trials.values())
        completed = [trial for trial in ranked_trials if trial.status is Status.COMPLETED]
        best = [trial.id for trial in (*ranked_trials[:count], *completed[:count])]
        ranked = incumbents.standings(self.trainings())[:count]
        front = [trial.id for trial in self.front] if len(self.spec.objectives) > 1 else []
        configurations = {self.trials[trial].configuration_id for trial in self._sure_finalists()}
        if self.spec.folds is not None:
            left = self.queue.unfinished if self.search.exhausted else self.trials
            configurations |= {self.trials[trial].configuration_id for trial in left}
        further = (t.id for t in self.trials.values() if t.configuration_id in configurations)
        return {*best, *(standing.trial_id for standing in ranked), *front, *further}

    def _sure_finalists(self) -> list[str]:
        """Return the trials that are finalists, or will be for certain."""
        if self.spec.scheduler.name == "none" and self.spec.replicates > 1:
            return self.choose_finalists()
        return self.finalists or []

    def trainings(self) -> list[incumbents.Training]:
        """Return the facts about all trials that the rule for the incumbent uses."""
        sign = objectives.sign(self.spec.objective)
        values = ((trial, self.objective(trial)) for trial in self.trials.values())
        return [
            incumbents.Training(
                trial_id=trial.id,
                configuration_id=trial.configuration_id,
                number=trial.number,
                phase=trial.phase,
                status=trial.status,
                score=math.nan if value is None else sign * value,
                fold=trial.config.get("fold"),
            )
            for trial, value in values
        ]

    def needs_latency(self, trial: Trial) -> bool:
        """Return whether a worker must time the trial's network before the first epoch."""
        if not self.spec.times_networks or trial.measurements:
            return False
        return network_key(trial.config) not in self.latencies

    # Folders below ``checkpoints``.

    def folder(self, trial_id: str) -> str:
        """Return the folder with the state that a trial continues from."""
        bundle = self.bundles.get(trial_id)
        return trial_id if bundle is None else bundle.folder

    def trials_in(self, folder: str) -> list[Trial]:
        """Return the trials whose state is in this folder."""
        if folder in self.trials:
            return [self.trials[folder]]
        bound = {trial for trial, bundle in self.bundles.items() if bundle.folder == folder}
        return [self.trials[trial] for trial in sorted(bound)]

    # The search and its finalists.

    @property
    def searching(self) -> bool:
        """Whether a trial of the search has not ended."""
        return any(self.trials[trial].phase == "search" for trial in self.queue.unfinished)

    @property
    def has_new_finalists(self) -> bool:
        """Whether further trials have ended that are finalists for certain."""
        each = self.spec.scheduler.name == "none" and self.spec.replicates > 1
        return each and self.trained_whole > len(self.finalists or ())

    def choose_finalists(self) -> list[str]:
        """Return the finalists among the completed trials of the search, best first."""
        whole = [trial.id for trial in self._search_trained_whole()]
        return whole if self.spec.scheduler.name == "none" else whole[: self.spec.finalists]

    def replicates_left(self) -> list[tuple[int, Trial]]:
        """Return the replicates that are still to be proposed: number and finalist, in order."""
        proposed = {(trial.configuration_id, trial.replicate) for trial in self.trials.values()}
        finalists = [self.trials[trial] for trial in self.finalists or ()]
        return [
            (replicate, trial)
            for replicate in range(1, self.spec.replicates)
            for trial in finalists
            if (trial.configuration_id, replicate) not in proposed
        ]

    def count_trained_whole(self) -> None:
        """Recount the completed trials of the search."""
        self.trained_whole = len(self._search_trained_whole())

    def _search_trained_whole(self) -> list[Trial]:
        """Return the completed trials of the search, best first."""
        return [
            trial
            for trial in self.ranked(self.trials.values())
            if trial.status is Status.COMPLETED and trial.phase == "search"
        ]
