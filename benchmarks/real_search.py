"""The same search with each tool, with real training: wall-clock time to one accuracy.

Each tool tries 30 configurations of small residual networks with its usual searcher and early
stopping: ours with `searcher: auto`, Ray Tune with ASHA and Optuna, Syne Tune with ASHA, Optuna
with TPE and Hyperband. The time ends at the first epoch with the highest accuracy that all of them
reach. Another seed is another search and other initial weights, for all of them.
"""

import tempfile
import time
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import optuna
from ray.tune.schedulers import ASHAScheduler
from ray.tune.search.optuna import OptunaSearch

from benchmarks.harness import Result, in_process, write_pictures
from benchmarks.other_tools import BATCH_SIZE, figures, run_optuna, run_ray, run_syne_tune
from tune.run.events import MeasurementTaken
from tune.run.ledger import read_events
from tune.session.session import start
from tune.sweep.spec import parse_spec

FIXED: dict[str, Any] = {"family": "resnet", "fc_width": 64, "augmentation": "flip_rotate"}
CHOICES: Mapping[str, tuple[int, ...]] = {
    "channels": (4, 8, 16),
    "blocks": (1, 2, 4),
    "kernel_size": (3, 5),
}
RANGES: Mapping[str, tuple[float, float]] = {
    "learning_rate": (1e-4, 1e-1),
    "weight_decay": (1e-6, 1e-2),
}
"""Searched on a logarithmic scale."""
EPOCHS = 9
TRIALS = 30
IMAGES = 4000


def ours(data: str, seed: int, trials: int) -> dict[str, Any]:
    """Run a sweep whose searcher and scheduler are picked by `auto`."""
    ranges = {name: {"low": low, "high": high, "log": True} for name, (low, high) in RANGES.items()}
    spec = {
        "name": "search",
        "data": data,
        "fixed": {**FIXED, "batch_size": BATCH_SIZE, "epochs": EPOCHS},
        "space": {**{name: list(values) for name, values in CHOICES.items()}, **ranges},
        "searcher": {"name": "auto", "samples": trials},
        "seed": seed,
    }
    begun = time.time()
    with tempfile.TemporaryDirectory() as folder:
        run, _ = start(parse_spec(spec), Path(folder))
        marks = [
            (event.time, event.values["val_accuracy"])
            for event in read_events(run)
            if isinstance(event, MeasurementTaken)
        ]
        return figures(begun, marks)


def ray_tune(data: str, seed: int, trials: int) -> dict[str, Any]:
    """Run Ray Tune's ASHA with Optuna's searcher, with one core per trial."""
    space = {
        **{n: optuna.distributions.CategoricalDistribution(v) for n, v in CHOICES.items()},
        **{n: optuna.distributions.FloatDistribution(*v, log=True) for n, v in RANGES.items()},
    }
    asked = {
        "scheduler": ASHAScheduler(max_t=EPOCHS),
        "search_alg": OptunaSearch(space=space, metric="accuracy", mode="max", seed=seed),
        "num_samples": trials,
    }
    return run_ray(data, {**FIXED, "seed": seed}, epochs=EPOCHS, cores=1, tune_config=asked)


def optuna_loop(data: str, seed: int, trials: int) -> dict[str, Any]:
    """Run Optuna's TPE with its Hyperband pruner."""

    def suggest(asked: optuna.Trial) -> dict[str, Any]:
        return {
            **{name: asked.suggest_categorical(name, values) for name, values in CHOICES.items()},
            **{name: asked.suggest_float(name, *ends, log=True) for name, ends in RANGES.items()},
        }

    def study() -> optuna.Study:
        pruner = optuna.pruners.HyperbandPruner(min_resource=1, max_resource=EPOCHS)
        sampler = optuna.samplers.TPESampler(seed=seed)
        # The pruner's random bracket depends on the study's name.
        return optuna.create_study(
            direction="maximize", sampler=sampler, pruner=pruner, study_name=f"search {seed}"
        )

    values = {**FIXED, "seed": seed}
    return run_optuna(data, values, suggest, epochs=EPOCHS, trials=trials, make_study=study)


def syne_tune(data: str, seed: int, trials: int) -> dict[str, Any]:
    """Run Syne Tune's ASHA on its local backend."""
    from syne_tune.config_space import choice, loguniform
    from syne_tune.optimizer.baselines import ASHA

    space = {
        **FIXED,
        **{name: choice(list(values)) for name, values in CHOICES.items()},
        **{name: loguniform(*ends) for name, ends in RANGES.items()},
        **{"seed": seed, "epochs": EPOCHS, "data": data},
    }
    asked = {"metric": "accuracy", "time_attr": "epoch", "max_t": EPOCHS, "do_minimize": False}
    return run_syne_tune(data, lambda: ASHA(space, **asked, random_seed=seed), trials=trials)


def run(data: Path | None = None, seeds: int = 1, trials: int = TRIALS) -> Iterator[Result]:
    """Search with all sides; yield a result for each seed.

    Args:
        data: A prepared dataset; None for synthetic pictures.
        seeds: Searches of each side.
        trials: Configurations of a search.
    """
    sides = {
        "ours": ours,
        "Ray Tune, ASHA with Optuna": ray_tune,
        "Optuna, TPE with Hyperband": optuna_loop,
    }
    if find_spec("syne_tune") is not None:
        sides["Syne Tune, ASHA"] = syne_tune
    with tempfile.TemporaryDirectory() as folder:
        faces = Path(folder) / "faces"
        write_pictures(faces, IMAGES, data)
        for seed in range(seeds):
            found = {
                name: in_process(side, str(faces), seed, trials) for name, side in sides.items()
            }
            yield compare(found, seed=seed, trials=trials)


def compare(found: Mapping[str, Mapping[str, Any]], *, seed: int, trials: int) -> Result:
    """Return the seconds that each side needs for the highest accuracy that all reach."""
    best = {name: max(accuracy for _, accuracy in side["epochs"]) for name, side in found.items()}
    goal = min(best.values())
    seconds = {
        name: min(at for at, accuracy in side["epochs"] if accuracy >= goal)
        for name, side in found.items()
    }
    return Result(
        name="real_search",
        unit="seconds to the highest validation accuracy that all sides reach",
        ours=seconds.pop("ours"),
        others=seconds,
        smaller_is_better=True,
        details={
            "configurations": trials,
            "epochs of a complete training": EPOCHS,
            "seed": seed,
            "the accuracy": round(goal, 4),
            "best accuracy": {name: round(accuracy, 4) for name, accuracy in best.items()},
            "epochs trained": {name: len(side["epochs"]) for name, side in found.items()},
            "seconds to the end": {name: round(side["seconds"]) for name, side in found.items()},
        },
    )
