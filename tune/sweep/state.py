"""What is known of a sweep: its trials, what is left to train, its finalists and its best trials.

`tune.sweep.replay` changes it as the events of the ledger say; nothing here decides anything.
"""

import math
from collections import Counter
from collections.abc import Iterable

from tune.run import incumbent as incumbents
from tune.run import objective as objectives
from tune.run.trial import Status, Trial
from tune.sweep.bundle import Fusing
from tune.sweep.clock import WorkedTime
from tune.sweep.pareto import undominated
from tune.sweep.queue import Queue
from tune.sweep.schedulers import Scheduler
from tune.sweep.search import Search
from tune.sweep.spec import SweepSpec


class SweepState:
    """All that follows from a ledger."""

    def __init__(self, spec: SweepSpec) -> None:
        """Begin with no trials.

        Raises:
            SpecError: Searcher or scheduler are unknown or do not go with the space.
        """
        self.spec = spec
        self.begun = False
        """Whether a driver session has begun."""
        self.trials: dict[str, Trial] = {}
        self.search = Search(spec)
        self.queue = Queue()
        self.finalists: list[str] | None = None
        """The trials that were chosen last, best first; None before the choice."""
        self.trained_whole = 0
        """Trials of the search that were trained to their end."""
        self.failures: Counter[str] = Counter()
        """Failed attempts of each trial in this driver session."""
        self.exclusive: set[str] = set()
        """Trials that did not fit into memory beside others."""
        self.fusings: list[Fusing] = []
        """Every decision whether trials are trained as one, in their order."""
        self.bundles: dict[str, Fusing] = {}
        """The decision that binds a trial to others, if one does."""
        self.seconds_of: dict[str, float] = {}
        """How long the first whole training of a configuration took."""
        self.lost_nodes: list[str] = []
        """Every node that died while it was part of the sweep, in their order."""
        self.openings: list[str] = []
        """The trial of each time that the test split was opened."""
        self.worked = WorkedTime()
        self._values: dict[str, tuple[int, float | None]] = {}
        """Epochs of a trial, and its value of the objective after them."""

    @property
    def finished(self) -> bool:
        """True if every trial that the sweep will ever have has ended."""
        if self.finalists is None or self.queue.left or self.replicates_left():
            return False
        return set(self.finalists) == set(self.choose_finalists())

    @property
    def expected(self) -> int | None:
        """How many trials the sweep will have, as far as can be known."""
        if self.finalists is not None and not self.searching:
            return len(self.trials) + len(self.replicates_left())
        size = self.search.size
        if size is None:
            return None
        finalists = size if self.spec.scheduler.name == "none" else min(size, self.spec.finalists)
        return int(size + finalists * (self.spec.replicates - 1))

    @property
    def scheduler(self) -> Scheduler:
        """What stops trials early."""
        return self.search.scheduler

    @property
    def seconds(self) -> float:
        """Wall-clock seconds of all driver sessions, up to the last event."""
        return self.worked.seconds

    @property
    def device_seconds(self) -> float:
        """Seconds that trials trained, times the share of a GPU or the CPU cores that they held."""
        return sum(trial.device_seconds for trial in self.trials.values())

    # The best trials.

    @property
    def incumbent(self) -> Trial | None:
        """The training that shows the best configuration so far (`tune.run.incumbent`)."""
        trial_id = incumbents.incumbent(self._trainings())
        return None if trial_id is None else self.trials[trial_id]

    @property
    def front(self) -> list[Trial]:
        """The Pareto front of the configurations trained whole, by the first objective."""
        whole = self._search_trained_whole()
        scored = [(objectives.scores(self.spec.objectives, trial), trial) for trial in whole]
        known = [(scores, trial) for scores, trial in scored if scores is not None]
        return [known[row][1] for row in undominated([scores for scores, _ in known])]

    def objective(self, trial: Trial) -> float | None:
        """Return the metric that the spec compares, or None before the first finite one."""
        epochs = len(trial.measurements)
        known = self._values.get(trial.id)
        if known is None or known[0] != epochs:
            # Trials have many epochs, and their values are needed many times.
            known = self._values[trial.id] = epochs, objectives.value(self.spec.objective, trial)
        return known[1]

    def values(self, trial: Trial) -> dict[str, float | None]:
        """Return a trial's value of every objective by its metric."""
        return {each.metric: objectives.value(each, trial) for each in self.spec.objectives}

    def ranked(self, trials: Iterable[Trial]) -> list[Trial]:
        """Return the trials that have a value, best first, the earliest of equals first."""
        sign = objectives.sign(self.spec.objective)
        scored = [(self.objective(trial), trial) for trial in trials]
        known = [(sign * value, trial) for value, trial in scored if value is not None]
        return [trial for _, trial in sorted(known, key=lambda pair: (-pair[0], pair[1].number))]

    def worth_keeping(self, count: int) -> set[str]:
        """Return the trials whose weights should stay, the incumbent's among them.

        The best trials, the best configurations' best trainings, the Pareto front, all trainings of
        finalists, and of a configuration that is still to be trained on further folds.
        """
        best = [trial.id for trial in self.ranked(self.trials.values())[:count]]
        ranked = incumbents.standings(self._trainings())[:count]
        front = [trial.id for trial in self.front] if len(self.spec.objectives) > 1 else []
        configurations = {self.trials[trial].configuration_id for trial in self._sure_finalists()}
        if self.spec.folds is not None:
            left = self.queue.unfinished if self.search.exhausted else self.trials
            configurations |= {self.trials[trial].configuration_id for trial in left}
        further = (t.id for t in self.trials.values() if t.configuration_id in configurations)
        return {*best, *(standing.trial_id for standing in ranked), *front, *further}

    def _sure_finalists(self) -> list[str]:
        """Return the trials that are chosen, or will be whatever the others do."""
        if self.spec.scheduler.name == "none" and self.spec.replicates > 1:
            return self.choose_finalists()
        return self.finalists or []

    def _trainings(self) -> list[incumbents.Training]:
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

    # Folders below ``checkpoints``.

    def folder(self, trial_id: str) -> str:
        """Return the folder with the state that a trial goes on from."""
        bundle = self.bundles.get(trial_id)
        return trial_id if bundle is None else bundle.folder

    def trials_in(self, folder: str) -> list[Trial]:
        """Return the trials that leave files in this folder."""
        if folder in self.trials:
            return [self.trials[folder]]
        bound = {trial for trial, bundle in self.bundles.items() if bundle.folder == folder}
        return [self.trials[trial] for trial in sorted(bound)]

    # The search and its finalists.

    @property
    def searching(self) -> bool:
        """True while a trial of the search has not ended."""
        return any(self.trials[trial].phase == "search" for trial in self.queue.unfinished)

    @property
    def has_new_finalists(self) -> bool:
        """True if trials have ended that are finalists whatever the others will do."""
        each = self.spec.scheduler.name == "none" and self.spec.replicates > 1
        return each and self.trained_whole > len(self.finalists or ())

    def choose_finalists(self) -> list[str]:
        """Return the finalists among the trials of the search that have ended, best first."""
        whole = [trial.id for trial in self._search_trained_whole()]
        return whole if self.spec.scheduler.name == "none" else whole[: self.spec.finalists]

    def replicates_left(self) -> list[tuple[int, Trial]]:
        """Return which replicates of which finalists are still to be proposed, in their order."""
        proposed = {(trial.configuration_id, trial.replicate) for trial in self.trials.values()}
        finalists = [self.trials[trial] for trial in self.finalists or ()]
        return [
            (replicate, trial)
            for replicate in range(1, self.spec.replicates)
            for trial in finalists
            if (trial.configuration_id, replicate) not in proposed
        ]

    def count_trained_whole(self) -> None:
        """Count anew the trials of the search that were trained to their end."""
        self.trained_whole = len(self._search_trained_whole())

    def _search_trained_whole(self) -> list[Trial]:
        """Return the trials of the search that were trained to their end, best first."""
        return [
            trial
            for trial in self.ranked(self.trials.values())
            if trial.status is Status.COMPLETED and trial.phase == "search"
        ]
