"""BOHB's search: TPE on the values at the highest epoch that enough trials have reached."""

import optuna

from tune.sweep.searchers.curves import CurveSearcher
from tune.sweep.searchers.sampled import seed_of
from tune.sweep.searchers.study import distributions, suggest, tpe
from tune.sweep.space import Point

ENOUGH = 10
"""Trials that TPE must know before it proposes other than random points; Optuna's default."""


class BohbSearcher(CurveSearcher):
    """Asks Optuna's TPE, with a study of the trials that have reached one epoch.

    Trials that were stopped before it are left out, and those on the way to it are running ones
    of the study. The scheduler takes the place of BOHB's brackets.

    Source: Falkner, Klein and Hutter 2018, arXiv:1807.01774, section 3.2.
    """

    def draw(self, number: int, attempt: int) -> Point:
        """Ask the sampler."""
        epoch = self.epoch()
        sampler = tpe(seed_of(self._seed, number, attempt))
        study = optuna.create_study(direction="maximize", sampler=sampler)
        for trial in self.trials.values():
            value = trial.curve.get(epoch)
            if value is None and trial.ended:
                continue
            study.add_trial(
                optuna.trial.create_trial(
                    state=optuna.trial.TrialState.RUNNING if value is None else _COMPLETE,
                    value=value,
                    params=dict(trial.point),
                    distributions=distributions(self._space, trial.point),
                )
            )
        asked = study.ask()
        return self._space.point(lambda path, domain: suggest(asked, path, domain))

    def epoch(self) -> int:
        """Return the highest epoch that enough trials have reached; 1 if there is none."""
        reached = sorted((trial.reached for trial in self.trials.values()), reverse=True)
        return max(reached[ENOUGH - 1], 1) if len(reached) >= ENOUGH else 1


_COMPLETE = optuna.trial.TrialState.COMPLETE
