"""The same eight trials with each tool: wall-clock time to the end.

The student's loop reads picture files, as in `benchmarks.train`. The time runs from before the tool
starts to the end of its last trial, with libraries already imported. With early stopping, see
`benchmarks.real_search`.
"""

import itertools
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import optuna
import ray.tune

from benchmarks import student
from benchmarks.harness import Result, in_process, write_pictures
from benchmarks.other_tools import (
    BATCH_SIZE,
    Marks,
    figures,
    run_optuna,
    run_ray,
    run_syne_tune,
)
from tune.session.session import start
from tune.sweep.spec import parse_spec

FIXED: dict[str, Any] = {
    "family": "resnet",
    "kernel_size": 3,
    "blocks": 4,
    "fc_width": 128,
    "augmentation": "flip_rotate",
}
CHANNELS = (8, 16)
SEEDS = (0, 1, 2, 3)
EPOCHS = 3
IMAGES = 4000


def loop(_data: str, folder: str) -> dict[str, Any]:
    """Train one trial after another over picture files, on two threads."""
    begun = time.time()
    marks: Marks = []
    loaders = student.file_loaders(Path(folder), BATCH_SIZE)
    for channels, seed in itertools.product(CHANNELS, SEEDS):
        values = {**FIXED, "batch_size": BATCH_SIZE, "channels": channels, "seed": seed}
        trial = student.train(values, loaders, epochs=EPOCHS, threads=2, channels_last=False)
        marks += [(time.time(), accuracy) for accuracy in trial]
    return figures(begun, marks)


def ray_one(data: str, _folder: str) -> dict[str, Any]:
    """Run Ray Tune as in its documentation, with one core per trial."""
    return _ray(data, 1)


def ray_two(data: str, _folder: str) -> dict[str, Any]:
    """Run Ray Tune as in its documentation, with two cores per trial."""
    return _ray(data, 2)


def _ray(data: str, cores: int) -> dict[str, Any]:
    grid = {
        "channels": ray.tune.grid_search(list(CHANNELS)),
        "seed": ray.tune.grid_search(list(SEEDS)),
    }
    return run_ray(data, FIXED, epochs=EPOCHS, cores=cores, tune_config={}, param_space=grid)


def optuna_loop(data: str, _folder: str) -> dict[str, Any]:
    """Run Optuna's `optimize`, one trial after another on two threads."""
    grid = {"channels": CHANNELS, "seed": SEEDS}

    def suggest(asked: optuna.Trial) -> dict[str, Any]:
        return {name: asked.suggest_categorical(name, values) for name, values in grid.items()}

    def study() -> optuna.Study:
        sampler = optuna.samplers.GridSampler(grid, seed=0)
        return optuna.create_study(
            direction="maximize", sampler=sampler, pruner=optuna.pruners.NopPruner()
        )

    trials = len(CHANNELS) * len(SEEDS)
    return run_optuna(data, FIXED, suggest, epochs=EPOCHS, trials=trials, make_study=study)


def syne_tune(data: str, _folder: str) -> dict[str, Any]:
    """Run Syne Tune's local backend: two concurrent trials with one thread each."""
    from syne_tune.config_space import choice
    from syne_tune.optimizer.baselines import RandomSearch

    points = [
        {"channels": channels, "seed": seed}
        for channels, seed in itertools.product(CHANNELS, SEEDS)
    ]
    space = {
        **FIXED,
        "channels": choice(list(CHANNELS)),
        "seed": choice(list(SEEDS)),
        "epochs": EPOCHS,
        "data": data,
    }
    return run_syne_tune(
        data,
        lambda: RandomSearch(
            space, metrics=["accuracy"], do_minimize=False, points_to_evaluate=points
        ),
        trials=len(points),
    )


def ours(data: str, _folder: str) -> dict[str, Any]:
    """Run a sweep of two configurations with four replicates each."""
    spec = {
        "name": "sweep",
        "data": data,
        "fixed": {**FIXED, "batch_size": BATCH_SIZE, "epochs": EPOCHS},
        "space": {"channels": list(CHANNELS)},
        "replicates": len(SEEDS),
    }
    begun = time.time()
    with tempfile.TemporaryDirectory() as folder:
        start(parse_spec(spec), Path(folder))
        return figures(begun, [])


def run(data: Path | None = None) -> Iterator[Result]:
    """Measure all sides."""
    sides: dict[str, Callable[..., dict[str, Any]]] = {
        "ours": ours,
        "Ray Tune, a core a trial": ray_one,
        "Ray Tune, two cores a trial": ray_two,
        "Optuna's optimize": optuna_loop,
    }
    if find_spec("syne_tune") is not None:
        sides["Syne Tune, local backend"] = syne_tune
    sides["a student's loop, one after another"] = loop
    with tempfile.TemporaryDirectory() as folder:
        faces, pictures = Path(folder) / "faces", Path(folder) / "pictures"
        write_pictures(faces, IMAGES, data)
        student.write_pictures(faces, pictures)
        seconds = {
            name: in_process(side, str(faces), str(pictures))["seconds"]
            for name, side in sides.items()
        }
    yield Result(
        name="sweep",
        unit="seconds to the end of eight trials",
        ours=seconds.pop("ours"),
        others=seconds,
        smaller_is_better=True,
        details={
            "trials": len(CHANNELS) * len(SEEDS),
            "epochs a trial": EPOCHS,
            "pictures": f"{IMAGES}, {'synthetic' if data is None else 'real'}",
        },
    )
