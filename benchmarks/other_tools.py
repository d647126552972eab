"""Runs the trials of a benchmark with Ray Tune, Optuna and Syne Tune, as their documentation shows.

Every trial trains the faster of the tutorial's loops (`benchmarks.student`), over a tensor in
memory, so that only the tool's way of running trials differs.
"""

import os
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import optuna
import ray
import ray.tune

from benchmarks import student

ROOT = Path(__file__).parent.parent
BATCH_SIZE = 64

Marks = list[tuple[float, float]]
"""For each epoch, the time of its report and its validation accuracy."""


def trial(data: str, values: Mapping[str, Any], *, epochs: int, threads: int) -> Iterator[float]:
    """Train one trial; yield the accuracy of each epoch."""
    loaders = student.tensor_loaders(Path(data), BATCH_SIZE)
    return student.train(
        {**values, "batch_size": BATCH_SIZE},
        loaders,
        epochs=epochs,
        threads=threads,
        channels_last=True,
    )


def figures(begun: float, marks: Marks) -> dict[str, Any]:
    """Return the seconds to the end, and the seconds and accuracy of each epoch."""
    return {
        "seconds": time.time() - begun,
        "epochs": [(at - begun, accuracy) for at, accuracy in marks],
    }


def run_ray(
    data: str,
    fixed: Mapping[str, Any],
    *,
    epochs: int,
    cores: int,
    tune_config: Mapping[str, Any],
    param_space: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Run Ray Tune's `Tuner` with so many cores a trial; the metric is called accuracy."""

    def train(config: dict[str, Any]) -> None:
        for accuracy in trial(data, {**fixed, **config}, epochs=epochs, threads=cores):
            ray.tune.report({"accuracy": accuracy})

    marks: Marks = []

    class Clock(ray.tune.Callback):
        def on_trial_result(self, *, result: dict[str, Any], **_: Any) -> None:
            marks.append((result["timestamp"], result["accuracy"]))

        def __deepcopy__(self, _memo: Any) -> "Clock":
            return self  # Ray copies callbacks, but all copies must share the list of marks.

    begun = time.time()
    ray.init(include_dashboard=False, log_to_driver=False, logging_level="ERROR")
    with tempfile.TemporaryDirectory() as storage:
        ray.tune.Tuner(
            ray.tune.with_resources(train, {"cpu": cores}),
            param_space=None if param_space is None else dict(param_space),
            tune_config=ray.tune.TuneConfig(metric="accuracy", mode="max", **tune_config),
            run_config=ray.tune.RunConfig(storage_path=storage, verbose=0, callbacks=[Clock()]),
        ).fit()
        found = figures(begun, marks)
    ray.shutdown()
    return found


def run_optuna(
    data: str,
    fixed: Mapping[str, Any],
    suggest: Callable[[optuna.Trial], Mapping[str, Any]],
    *,
    epochs: int,
    trials: int,
    make_study: Callable[[], optuna.Study],
) -> dict[str, Any]:
    """Run Optuna's `optimize`, one trial after another on two threads."""
    marks: Marks = []

    def objective(asked: optuna.Trial) -> float:
        best, values = 0.0, {**fixed, **suggest(asked)}
        for epoch, accuracy in enumerate(trial(data, values, epochs=epochs, threads=2), start=1):
            marks.append((time.time(), accuracy))
            best = max(best, accuracy)
            asked.report(accuracy, epoch)
            if asked.should_prune():
                raise optuna.TrialPruned
        return best

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    begun = time.time()
    make_study().optimize(objective, n_trials=trials)
    return figures(begun, marks)


def run_syne_tune(data: str, make_scheduler: Callable[[], Any], *, trials: int) -> dict[str, Any]:
    """Run Syne Tune's local backend: two trials at a time, with one thread each.

    Its files lie beside the data.
    """
    from syne_tune import StoppingCriterion, Tuner
    from syne_tune.backend import LocalBackend
    from syne_tune.tuner_callback import TunerCallback

    marks: Marks = []

    class Clock(TunerCallback):
        def on_trial_result(self, *, result: Any, **_: Any) -> None:
            marks.append((result["st_worker_timestamp"], result["accuracy"]))

    os.environ["SYNETUNE_FOLDER"] = str(Path(data).parent)
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
    begun = time.time()
    Tuner(
        trial_backend=LocalBackend(entry_point=str(Path(__file__).parent / "syne_trial.py")),
        scheduler=make_scheduler(),
        # It stops once more trials than this have started.
        stop_criterion=StoppingCriterion(max_num_trials_started=trials - 1),
        n_workers=2,
        sleep_time=0.5,  # By default it checks only every five seconds whether a trial has ended.
        wait_trial_completion_when_stopping=True,
        callbacks=[Clock()],
    ).run()
    return figures(begun, marks)
