"""The same eight trials with each tool: wall-clock time to the end, and to a given accuracy.

The student's loop reads picture files, as in `benchmarks.train`. Every other tool uses the faster
loop over a tensor in memory, so that only the tool's way of running trials differs. The time runs
from before the tool starts to the end of its last trial, with libraries already imported.

The second result uses the early stopping of each tool. Its time ends at the first epoch with the
highest accuracy that all sides reach. The student's loop has no early stopping.
"""

import itertools
import os
import tempfile
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import optuna
import ray
import ray.tune

from benchmarks import student
from benchmarks.harness import Result, in_process, write_pictures
from tune.run.events import MeasurementTaken
from tune.run.ledger import read_events
from tune.session.session import start
from tune.sweep.spec import parse_spec

FIXED: dict[str, Any] = {
    "family": "resnet",
    "kernel_size": 3,
    "blocks": 4,
    "fc_width": 128,
    "augmentation": "flip_rotate",
    "batch_size": 64,
}
CHANNELS = (8, 16)
SEEDS = (0, 1, 2, 3)
EPOCHS = 3
IMAGES = 4000
ROOT = Path(__file__).parent.parent

Marks = list[tuple[float, float]]
"""For each epoch, the time of its report and its validation accuracy."""


def loop(_data: str, folder: str, *, early: bool) -> dict[str, Any]:
    """Train one trial after another over picture files, on two threads."""
    assert not early, "the student's loop stops no trial"
    begun, marks = time.time(), []
    loaders = student.file_loaders(Path(folder), FIXED["batch_size"])
    for channels, seed in itertools.product(CHANNELS, SEEDS):
        values = {**FIXED, "channels": channels, "seed": seed}
        trial = student.train(values, loaders, epochs=EPOCHS, threads=2, channels_last=False)
        marks += [(time.time(), accuracy) for accuracy in trial]
    return _figures(begun, marks)


def trial(data: str, chosen: dict[str, Any], threads: int) -> Iterator[float]:
    """Train one trial over a tensor in memory; yield the accuracy of each epoch."""
    loaders = student.tensor_loaders(Path(data), FIXED["batch_size"])
    values = {**FIXED, **chosen}
    return student.train(values, loaders, epochs=EPOCHS, threads=threads, channels_last=True)


def ray_one(data: str, _folder: str, *, early: bool) -> dict[str, Any]:
    """Run Ray Tune as in its documentation, with one core per trial."""
    return _ray(data, 1, early=early)


def ray_two(data: str, _folder: str, *, early: bool) -> dict[str, Any]:
    """Run Ray Tune as in its documentation, with two cores per trial."""
    return _ray(data, 2, early=early)


def _ray(data: str, cores: int, *, early: bool) -> dict[str, Any]:
    def train(config: dict[str, Any]) -> None:
        for accuracy in trial(data, config, cores):
            ray.tune.report({"accuracy": accuracy})

    marks: Marks = []

    class Clock(ray.tune.Callback):
        def on_trial_result(self, *, result: dict[str, Any], **_: Any) -> None:
            marks.append((result["timestamp"], result["accuracy"]))

        def __deepcopy__(self, _memo: Any) -> "Clock":
            return self  # Ray copies callbacks, but all copies must share the list of marks.

    scheduler = ray.tune.schedulers.ASHAScheduler(max_t=EPOCHS, grace_period=1, reduction_factor=2)
    begun = time.time()
    ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    with tempfile.TemporaryDirectory() as storage:
        ray.tune.Tuner(
            ray.tune.with_resources(train, {"cpu": cores}),
            param_space={
                "channels": ray.tune.grid_search(list(CHANNELS)),
                "seed": ray.tune.grid_search(list(SEEDS)),
            },
            tune_config=ray.tune.TuneConfig(
                metric="accuracy", mode="max", scheduler=scheduler if early else None
            ),
            run_config=ray.tune.RunConfig(storage_path=storage, verbose=0, callbacks=[Clock()]),
        ).fit()
        figures = _figures(begun, marks)
    ray.shutdown()
    return figures


def optuna_loop(data: str, _folder: str, *, early: bool) -> dict[str, Any]:
    """Run Optuna's `optimize`, one trial after another on two threads."""
    marks: Marks = []

    def objective(asked: optuna.Trial) -> float:
        chosen = {
            "channels": asked.suggest_categorical("channels", CHANNELS),
            "seed": asked.suggest_categorical("seed", SEEDS),
        }
        best = 0.0
        for epoch, accuracy in enumerate(trial(data, chosen, 2), start=1):
            marks.append((time.time(), accuracy))
            best = max(best, accuracy)
            asked.report(accuracy, epoch)
            if asked.should_prune():
                raise optuna.TrialPruned
        return best

    pruner = optuna.pruners.SuccessiveHalvingPruner(min_resource=1, reduction_factor=2)
    sampler = optuna.samplers.GridSampler({"channels": CHANNELS, "seed": SEEDS}, seed=0)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    begun = time.time()
    study = optuna.create_study(
        direction="maximize",
        sampler=sampler,
        pruner=pruner if early else optuna.pruners.NopPruner(),
    )
    study.optimize(objective, n_trials=len(CHANNELS) * len(SEEDS))
    return _figures(begun, marks)


def syne_tune(data: str, _folder: str, *, early: bool) -> dict[str, Any]:
    """Run Syne Tune's local backend: two concurrent trials with one thread each."""
    from syne_tune import StoppingCriterion, Tuner
    from syne_tune.backend import LocalBackend
    from syne_tune.config_space import choice
    from syne_tune.optimizer.baselines import ASHA, RandomSearch
    from syne_tune.tuner_callback import TunerCallback

    marks: Marks = []

    class Clock(TunerCallback):
        def on_trial_result(self, *, result: Any, **_: Any) -> None:
            marks.append((result["st_worker_timestamp"], result["accuracy"]))

    points = [
        {"channels": channels, "seed": seed}
        for channels, seed in itertools.product(CHANNELS, SEEDS)
    ]
    space = {"channels": choice(list(CHANNELS)), "seed": choice(list(SEEDS)), "data": data}
    asked: dict[str, Any] = {"do_minimize": False, "points_to_evaluate": points}
    asha = {"metric": "accuracy", "time_attr": "epoch", "max_t": EPOCHS, "reduction_factor": 2}
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    begun = time.time()
    tuner = Tuner(
        trial_backend=LocalBackend(entry_point=str(Path(__file__).parent / "syne_trial.py")),
        scheduler=(
            ASHA(space, **asha, **asked)
            if early
            else RandomSearch(space, metrics=["accuracy"], **asked)
        ),
        stop_criterion=StoppingCriterion(max_num_trials_started=len(points)),
        n_workers=2,
        sleep_time=0.5,  # By default it checks only every five seconds whether a trial has ended.
        wait_trial_completion_when_stopping=True,
        callbacks=[Clock()],
    )
    tuner.run()
    return _figures(begun, marks)


def ours(data: str, _folder: str, *, early: bool) -> dict[str, Any]:
    """Run a sweep; with early stopping, only the best configuration is trained with all seeds."""
    spec: dict[str, Any] = {
        "name": "sweep",
        "data": data,
        "fixed": {**FIXED, "epochs": EPOCHS},
        "space": {"channels": list(CHANNELS)},
        "replicates": len(SEEDS),
    }
    if early:
        asha = {"name": "asha", "grace_period": 1, "reduction_factor": 2}
        spec |= {"scheduler": asha, "finalists": 1}
    begun = time.time()
    with tempfile.TemporaryDirectory() as folder:
        run, _ = start(parse_spec(spec), Path(folder))
        ended = time.time()
        marks = [
            (event.time, event.values["val_accuracy"])
            for event in read_events(run)
            if isinstance(event, MeasurementTaken)
        ]
    return _figures(begun, marks) | {"seconds": ended - begun}


def _figures(begun: float, marks: Marks) -> dict[str, Any]:
    """Return the seconds to the end, and the seconds and accuracy of each epoch."""
    return {
        "seconds": time.time() - begun,
        "epochs": [(at - begun, accuracy) for at, accuracy in marks],
    }


def _seconds_to(accuracy: float, side: dict[str, Any]) -> float:
    return float(min(seconds for seconds, reached in side["epochs"] if reached >= accuracy))


def run(data: Path | None = None) -> Iterator[Result]:
    """Measure all sides without early stopping, then again with it."""
    student_name, ours_name = "a student's loop, one after another", "ours"
    sides = {
        ours_name: ours,
        "Ray Tune, a core a trial": ray_one,
        "Ray Tune, two cores a trial": ray_two,
        "Optuna's optimize": optuna_loop,
    }
    if find_spec("syne_tune") is not None:
        sides["Syne Tune, local backend"] = syne_tune
    with tempfile.TemporaryDirectory() as folder:
        faces, pictures = Path(folder) / "faces", Path(folder) / "pictures"
        write_pictures(faces, IMAGES, data)
        student.write_pictures(faces, pictures)
        os.environ["SYNETUNE_FOLDER"] = folder
        places = (str(faces), str(pictures))
        plain = in_process(loop, *places, early=False)
        whole, early = (
            {name: in_process(side, *places, early=stops) for name, side in sides.items()}
            for stops in (False, True)
        )
    details: dict[str, Any] = {
        "trials": len(CHANNELS) * len(SEEDS),
        "epochs a trial": EPOCHS,
        "pictures": f"{IMAGES}, {'synthetic' if data is None else 'real'}",
    }
    whole[student_name] = early[student_name] = plain
    yield Result(
        name="sweep",
        unit="seconds to the end of eight trials",
        ours=whole.pop(ours_name)["seconds"],
        others={name: side["seconds"] for name, side in whole.items()},
        smaller_is_better=True,
        details=details,
    )
    best = {name: max(accuracy for _, accuracy in side["epochs"]) for name, side in early.items()}
    goal = min(best.values())
    seconds = {name: _seconds_to(goal, side) for name, side in early.items()}
    yield Result(
        name="sweep_early_stopping",
        unit="seconds to the highest validation accuracy that all sides reach",
        ours=seconds.pop(ours_name),
        others=seconds,
        smaller_is_better=True,
        details={
            **details,
            "the accuracy": round(goal, 4),
            "best accuracy": {name: round(accuracy, 4) for name, accuracy in best.items()},
            "epochs trained": {name: len(side["epochs"]) for name, side in early.items()},
            "seconds to the end": {name: round(side["seconds"]) for name, side in early.items()},
        },
    )
