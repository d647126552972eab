"""Simulates sweeps with a known truth: grids, drawn configurations, folds, finalists of ASHA."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd
from scipy.stats import norm

from analysis.run.run_data import RunData
from benchmarks.simulated_runs import Floats, World, run_of, seeds
from tune.run.trial import Status

Space = Mapping[str, Sequence[int]]

GRID: Space = {
    "kernel_size": [3, 5, 7],
    "blocks": [2, 4],
    "channels": [8, 16],
}
SPACE: Space = {**GRID, "conv_depth": [1, 2, 3]}
MATTERS, RATE = "kernel_size", "learning_rate"
USUAL = 0.62
"""Accuracy of a configuration without any effect."""
DRAWN_WORLD = World(configuration=0.05)
EARLY = 0.6
"""Skill that the first epoch lacks."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Simulated:
    """A run and the truth about it."""

    run: RunData
    accuracy: Mapping[str, float]
    """Configuration id → accuracy over all pictures and seeds."""
    models: Mapping[str, float]
    """Trial id → accuracy of this training over all pictures."""
    matters: frozenset[str] = frozenset()
    """Hyperparameters with an effect, and pairs of them that interact, joined by ×."""
    levels: Mapping[tuple[str, str], float] = field(default_factory=dict)
    """Hyperparameter and level → mean accuracy over all configurations, pictures and seeds."""


def _all_terms(space: Space) -> list[str]:
    return [*space, *map(" × ".join, combinations(space, 2))]


def skill_of(world: World, hyperparameters: int, accuracy: float) -> float:
    """Return the skill with this accuracy over all pictures."""
    at = np.linspace(-1.5, 2.5, 2_001)
    return float(np.interp(accuracy, world.accuracy(at, hyperparameters), at))


def grid(
    rng: np.random.Generator,
    *,
    effect: float = 0.0,
    replicates: int = 5,
    world: World | None = None,
    best: float = 0.0,
    data: Path | None = None,
) -> Simulated:
    """Simulate a grid of 12 configurations.

    Args:
        rng: Random generator.
        effect: Accuracy that ``kernel_size`` 5 adds.
        replicates: Trainings per configuration.
        world: Standard deviations of the random effects.
        best: Accuracy by which one configuration is better than the others.
        data: The dataset's directory.
    """
    world = world or World()
    table = pd.DataFrame(product(*GRID.values()), columns=list(GRID))
    target = USUAL + effect * (table[MATTERS] == 5) + best * (table.index == 4)
    skill = target.map(lambda value: skill_of(world, len(GRID), value)).to_numpy()
    made = _trained(rng, world, table, skill, replicates)
    levels = {(n, str(x)): target[table[n] == x].mean() for n in GRID for x in table[n].unique()}
    return Simulated(
        run=made.run(searched=list(GRID), searcher="grid", data=data),
        accuracy=dict(zip(made.ids, target, strict=True)),
        models=made.truth,
        matters=frozenset(_all_terms(GRID) if best else [MATTERS] if effect else []),
        levels=levels,
    )


def drawn(
    rng: np.random.Generator,
    *,
    effect: float = 0.0,
    rate: float = 0.0,
    count: int = 24,
    replicates: int = 3,
    searcher: str = "random",
    world: World = DRAWN_WORLD,
    data: Path | None = None,
) -> Simulated:
    """Simulate drawn configurations, each with a random effect of its own.

    Args:
        rng: Random generator.
        effect: Accuracy that ``kernel_size`` 5 adds.
        rate: Skill that a decade of the learning rate costs.
        count: Number of configurations.
        replicates: Trainings per configuration.
        searcher: Name of the searcher.
        world: Standard deviations of the random effects.
        data: The dataset's directory.
    """
    table, skill, levels = _drawn_space(rng, world, effect, rate, count)
    made = _trained(rng, world, table, skill, replicates)
    truth = world.accuracy(skill, len(table.columns))
    return Simulated(
        run=made.run(searched=list(map(str, table)), searcher=searcher, data=data),
        accuracy=dict(zip(made.ids, truth, strict=True)),
        models=made.truth,
        matters=frozenset([MATTERS] * bool(effect) + [RATE] * bool(rate)),
        levels=levels,
    )


def finalists(
    rng: np.random.Generator, *, effect: float = 0.0, count: int = 27, data: Path | None = None
) -> Simulated:
    """Simulate ASHA over drawn configurations, with five finalists of five trainings each."""
    table, skill, levels = _drawn_space(rng, DRAWN_WORLD, effect, 0.0, count, -EARLY)
    made = _trained(rng, DRAWN_WORLD, table, skill, 5)
    search = made.trials["replicate"] == 0
    best = made.trials[search].nlargest(5, "accuracy")["configuration_id"]
    whole = made.trials["configuration_id"].isin(best)
    trials = made.trials.assign(
        phase=np.where(search, "search", "finalist"),
        status=np.where(whole, str(Status.COMPLETED), str(Status.EARLY_STOPPED)),
        epochs_trained=np.where(whole, 9, 1),
    )
    trials["accuracy"] = trials["accuracy"].where(whole, made.early.to_numpy())
    kept = search | whole
    trials, early = trials[kept], made.early[kept.to_numpy()]
    truth = DRAWN_WORLD.accuracy(skill, len(SPACE))
    run = run_of(
        trials,
        searched=list(SPACE),
        searcher="random",
        scheduler="asha",
        answers=made.answers,
        early=early,
        data=data,
    )
    return Simulated(
        run=run,
        accuracy=dict(zip(made.ids, truth, strict=True)),
        models=made.truth,
        matters=frozenset([MATTERS] if effect else []),
        levels=levels,
    )


def folds(
    rng: np.random.Generator,
    *,
    effect: float = 0.0,
    count: int = 5,
    replicates: int = 5,
    data: Path | None = None,
) -> Simulated:
    """Simulate a grid of six configurations over folds, with several seeds per fold.

    The effect of a fold's training pictures on a configuration is the same for all its seeds. Part
    of it is the same for all folds, because folds share most of their training pictures.
    """
    world = World(seed=0.03)
    names = ["kernel_size", "blocks"]
    table = pd.DataFrame(product(*(GRID[name] for name in names)), columns=names)
    target = USUAL + effect * (table[MATTERS] == 5)
    skill = target.map(lambda value: skill_of(world, 2, value)).to_numpy()
    common = rng.normal(0, 0.12 * np.sqrt(1 / count), len(table))
    own = rng.normal(0, 0.12 * np.sqrt(1 - 1 / count), (len(table), count))
    dealt = rng.permutation(world.groups[-1] + 1) % count
    parts = []
    for fold in range(count):
        shifted = skill + common + own[:, fold]
        made = _trained(rng, world, table, shifted, replicates, fold=fold)
        held_out = dealt[world.groups] == fold
        accuracy = [made.answers[trial][held_out].mean() for trial in made.trials["trial_id"]]
        parts.append(made.trials.assign(accuracy=accuracy, n=int(held_out.sum()), fold=fold))
    trials = pd.concat(parts, ignore_index=True).assign(folds=count)
    return Simulated(
        run=run_of(trials, searched=names, searcher="grid", data=data),
        accuracy=dict(zip(made.ids, target, strict=True)),
        models={},
        matters=frozenset([MATTERS] if effect else []),
        levels={(n, str(x)): target[table[n] == x].mean() for n in names for x in GRID[n]},
    )


@dataclass(frozen=True, kw_only=True, eq=False)
class _Made:
    """Simulated trainings of some configurations."""

    ids: list[str]
    trials: pd.DataFrame
    answers: Mapping[str, np.ndarray]
    truth: Mapping[str, float]
    early: "pd.Series[float]"

    def run(self, *, searched: list[str], searcher: str, data: Path | None) -> RunData:
        return run_of(
            self.trials, searched=searched, searcher=searcher, answers=self.answers, data=data
        )


def _trained(
    rng: np.random.Generator,
    world: World,
    table: pd.DataFrame,
    skill: Floats,
    replicates: int,
    *,
    fold: int = 0,
) -> _Made:
    """Simulate several trainings of each configuration of ``table``."""
    ids = [f"c{number}" for number in table.index]
    rows = table.loc[table.index.repeat(replicates)].reset_index(drop=True)
    configuration = np.repeat(ids, replicates)
    replicate = np.tile(np.arange(replicates), len(ids))
    trial = [f"{c}-{fold}-{r}" for c, r in zip(configuration, replicate, strict=True)]
    unsteady = np.where(np.arange(len(ids)) % 4 == 3, world.unsteady, 1.0)
    of_seeds = seeds(rng, world, len(rows)) * np.repeat(unsteady, replicates)
    trained = np.repeat(skill, replicates) + of_seeds
    right = world.answers(rng, trained, rows.assign(configuration=configuration))
    width = len(table.columns)
    accuracy = right.mean(axis=1)
    lost = world.accuracy(trained, width) - world.accuracy(trained - EARLY, width)
    trials = rows.assign(
        trial_id=trial,
        configuration_id=configuration,
        replicate=replicate,
        accuracy=accuracy,
        n=world.pictures,
    )
    return _Made(
        ids=ids,
        trials=trials,
        answers=dict(zip(trial, right, strict=True)),
        truth=dict(zip(trial, world.accuracy(trained, width), strict=True)),
        early=pd.Series(accuracy - lost + rng.normal(0, 0.004, len(rows)), index=trial),
    )


def _drawn_space(
    rng: np.random.Generator,
    world: World,
    effect: float,
    rate: float,
    count: int,
    shift: float = 0.0,
) -> tuple[pd.DataFrame, Floats, dict[tuple[str, str], float]]:
    """Draw configurations; return them, their skills, and the mean accuracy at each level."""
    table = pd.DataFrame({name: rng.choice(values, count) for name, values in SPACE.items()})
    if rate:
        table[RATE] = 10 ** rng.uniform(-4, -2, count)
    width = len(table.columns)
    steps = np.array([skill_of(world, width, USUAL + each) for each in (0.0, effect)])
    skill = steps[(table[MATTERS] == 5).astype(int)]
    spread = world.configuration * norm.ppf((np.arange(200) + 0.5) / 200)
    decades = np.linspace(0, 2, 101) if rate else np.zeros(1)
    expected = [
        world.accuracy((step + shift + spread[:, None] - rate * decades).ravel(), width).mean()
        for step in steps
    ]
    if rate:
        skill = skill - rate * (np.log10(table[RATE].to_numpy()) + 4)
    skill = skill + rng.normal(0, world.configuration, count)
    mean = (2 * expected[0] + expected[1]) / 3
    levels = {
        (name, str(value)): expected[int(value == 5)] if name == MATTERS else mean
        for name, values in SPACE.items()
        for value in values
    }
    return table, skill, levels


def two_runs(
    rng: np.random.Generator,
    *,
    count: int = 24,
    against: int = 1,
    better: float = 0.0,
    replicates: int = 1,
    data: Path | None = None,
) -> tuple[Simulated, Simulated]:
    """Simulate two runs of equally good configurations.

    Args:
        rng: Random generator.
        count: Configurations of the first run.
        against: Configurations of the second run.
        better: Accuracy by which those of the second run are better.
        replicates: Trainings per configuration.
        data: The dataset's directory.
    """
    world = World()
    second_run = np.arange(count + against) >= count
    table = pd.DataFrame({MATTERS: np.arange(count + against)})
    levels = [skill_of(world, 1, accuracy) for accuracy in (USUAL, USUAL + better)]
    made = _trained(rng, world, table, np.take(levels, second_run.astype(int)), replicates)
    ids = np.array(made.ids)[second_run]
    in_second = made.trials["configuration_id"].isin(ids)
    first, second = (
        Simulated(
            run=run_of(
                made.trials[chosen],
                searched=[MATTERS],
                searcher="random",
                answers=made.answers,
                name=name,
                data=data,
            ),
            accuracy=dict(zip(made.ids, USUAL + better * second_run, strict=True)),
            models=made.truth,
        )
        for name, chosen in (("first", ~in_second), ("second", in_second))
    )
    return first, second
