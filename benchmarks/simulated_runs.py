"""Simulated runs with a known truth, whose errors violate the assumptions of the tables.

On the logit scale, the probability of a correct answer is the sum of the configuration's skill, an
effect of the seed, the picture's difficulty, and random interactions with the picture ("taste") of
each level, of the configuration and of the training. Difficulties and seeds have heavy tails.
Pictures come in groups of near-copies, as in FER2013's validation split, and copies mostly get the
same answer.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.special import expit

from analysis.run.dataset import IMAGES_FILE, MANIFEST_FILE
from analysis.run.run_data import RunData
from tune.run.tables import TableInfo
from tune.run.trial import METRICS, Status
from tune.sweep.schedulers.registry import SCHEDULERS
from tune.sweep.searchers.registry import SEARCHERS

Floats = npt.NDArray[np.float64]
FINGERPRINT = "f" * 64
LARGEST_GROUP, SHARE_IN_GROUPS = 29, 0.177
"""Size of the largest group of near-copies in FER2013's validation split (grouped split), and share
of the pictures that are in such groups."""
_DRAWS = 100_000


@dataclass(frozen=True, kw_only=True)
class World:
    """What is simulated; standard deviations are on the logit scale.

    A standard deviation of 0.05 is about one percentage point of accuracy.
    """

    pictures: int = 2_400
    difficulty: float = 1.2
    level_taste: float = 0.35
    configuration_taste: float = 0.4
    training_taste: float = 0.5
    seed: float = 0.035
    configuration: float = 0.0
    """Differences between configurations beyond the effects of their hyperparameters."""
    alike: float = 0.7
    """Probability that a copy gets the same answer as its group."""
    duplicates: bool = True
    unsteady: float = 1.0
    """Factor of ``seed`` for every fourth configuration."""

    @cached_property
    def groups(self) -> npt.NDArray[np.int64]:
        """Duplicate group of each picture."""
        sizes = [LARGEST_GROUP]
        while self.duplicates and sum(sizes) < SHARE_IN_GROUPS * self.pictures:
            sizes += [2, 3, 2, 5]
        sizes = sizes if self.duplicates else []
        single = self.pictures - sum(sizes)
        return np.repeat(np.arange(len(sizes) + single), sizes + [1] * single)

    def accuracy(self, skill: Floats, hyperparameters: int) -> Floats:
        """Return the expected accuracy of trainings with these skills."""
        at, values = _curve(self, hyperparameters)
        return np.interp(skill, at, values)

    def answers(
        self, rng: np.random.Generator, skill: Floats, design: pd.DataFrame
    ) -> npt.NDArray[np.bool_]:
        """Draw which pictures the trainings classify correctly.

        Args:
            rng: Random generator.
            skill: (trainings,) skill of each training, including the effect of its seed.
            design: A row per training: ``configuration`` and the level of each hyperparameter.

        Returns:
            (trainings, pictures) whether a training classifies a picture correctly.
        """
        count = int(self.groups[-1]) + 1
        logit = skill[:, None] + self.difficulty * rng.standard_t(4, count)
        for name in design:
            codes, levels = pd.factorize(design[name])
            own = name == "configuration"
            sd = self.configuration_taste if own else self.level_taste
            logit += rng.normal(0, sd, (len(levels), count))[codes]
        logit += rng.normal(0, self.training_taste, logit.shape)
        shared = rng.random(logit.shape)[:, self.groups]
        own_draw = rng.random(shared.shape)
        kept = rng.random(shared.shape) < self.alike
        return np.where(kept, shared, own_draw) < expit(logit)[:, self.groups]


@lru_cache(maxsize=16)
def _curve(world: World, hyperparameters: int) -> tuple[Floats, Floats]:
    rng = np.random.default_rng(0)
    tastes = hyperparameters * world.level_taste**2 + world.configuration_taste**2
    sd = np.sqrt(tastes + world.training_taste**2)
    noise = world.difficulty * rng.standard_t(4, _DRAWS) + rng.normal(0, sd, _DRAWS)
    noise = np.concatenate([noise, -noise])
    at = np.linspace(-1.5, 2.5, 161)
    return at, np.array([expit(skill + noise).mean() for skill in at])


def write_dataset(world: World, out: Path) -> Path:
    """Write the parts of a dataset that say which pictures of ``world`` are copies."""
    out.mkdir(parents=True, exist_ok=True)
    ids = [f"p{number:05d}" for number in range(world.pictures)]
    table = pa.table({"image_id": ids, "duplicate_group": world.groups})
    pq.write_table(table, out / IMAGES_FILE)
    (out / MANIFEST_FILE).write_text(json.dumps({"fingerprint": FINGERPRINT}))
    return out


def seeds(rng: np.random.Generator, world: World, shape: int | Sequence[int]) -> Floats:
    """Draw effects of seeds from a heavy-tailed distribution with the deviation of ``world``."""
    drawn: Floats = world.seed * rng.standard_t(5, shape) / np.sqrt(5 / 3)
    return drawn


def run_of(
    trials: pd.DataFrame,
    *,
    searched: Sequence[str],
    searcher: str,
    answers: Mapping[str, npt.NDArray[np.bool_]] | None = None,
    scheduler: str = "none",
    early: "pd.Series[float] | None" = None,
    name: str = "simulated",
    data: Path | None = None,
) -> RunData:
    """Build a run in memory.

    Args:
        trials: A row per trial: ``trial_id``, ``configuration_id``, ``accuracy``, ``n``, the
            hyperparameters, and columns that replace the defaults.
        searched: The searched hyperparameters.
        searcher: Name of the searcher.
        answers: Trial id → (n,) whether a picture was classified correctly.
        scheduler: Name of the scheduler.
        early: Trial id → accuracy after the first epoch; None: each trial has one epoch.
        name: Name of the run.
        data: Directory of the dataset.
    """
    usual: dict[str, Any] = {
        "phase": "search",
        "replicate": 0,
        "status": str(Status.COMPLETED),
        "reason": "",
    }
    usual |= {"epochs_trained": 1, "parameters": 1_000, "seconds": 1.0, "device_seconds": 1.0}
    usual |= {"host": "node", "device": "cpu", "nodes_lost": 0}
    added = {key: value for key, value in usual.items() if key not in trials}
    rows = trials.assign(**added, number=range(len(trials)), name=trials["configuration_id"])
    rows["best_epoch"] = rows["epochs_trained"]
    at = {f"{when}_{metric}": rows["accuracy"] for when in ("best", "last") for metric in METRICS}
    rows = rows.drop(columns="accuracy").assign(**at)
    last = rows[["trial_id", "epochs_trained", "last_val_accuracy"]]
    measured = last.set_axis(["trial_id", "epoch", "val_accuracy"], axis=1)
    if early is not None:
        later = measured[measured["epoch"] > 1]
        first = pd.DataFrame({"trial_id": early.index, "epoch": 1, "val_accuracy": early.array})
        measured = pd.concat([first, later], ignore_index=True)
    info = TableInfo(
        hyperparameters=tuple(searched),
        searched=tuple(searched),
        tied={},
        objective={"metric": "val_accuracy", "mode": "max", "at": "best"},
        classes=("wrong", "right"),
        searcher=searcher,
        searcher_words=SEARCHERS[searcher].words,
        sampling=SEARCHERS[searcher].sampling,
        scheduler=scheduler,
        scheduler_words=SCHEDULERS[scheduler].words,
        rungs=(),
    )
    return RunData(
        path=Path("/nonexistent") / name,
        info=info,
        trials=rows.reset_index(drop=True),
        measurements=measured,
        provenance={"dataset": {"fingerprint": FINGERPRINT}},
        spec="",
        data=data,
        answers=_answers(answers or {}),
    )


def _answers(right: Mapping[str, npt.NDArray[np.bool_]]) -> dict[str, pd.DataFrame]:
    count = max((len(is_right) for is_right in right.values()), default=0)
    ids = np.array([f"p{number:05d}" for number in range(count)], dtype=object)
    empty = pd.DataFrame({"image_id": ids, "label": 1, "predicted": 0, "probability": 0.9})
    return {
        trial: empty.assign(predicted=is_right.astype(int)) for trial, is_right in right.items()
    }
