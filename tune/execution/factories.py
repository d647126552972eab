"""Makes what opens the trainings of a sweep: by our training loop, or by the user's own code."""

from collections.abc import Callable
from pathlib import Path

from data_prep.reader import ImageDataset
from tune.execution.executor import MakeTraining, SweepData
from tune.execution.factory import TrainingFactory
from tune.execution.own_factory import OwnFactory
from tune.sweep.sweep import Sweep


def make_factory(
    sweep: Sweep,
    run: Path,
    data: SweepData,
    *,
    threads: int,
    gpus: float = 0,
    load_dataset: Callable[[], ImageDataset] | None = None,
) -> MakeTraining:
    """Return what opens the trainings of ``sweep`` in a worker.

    Args:
        sweep: The sweep.
        run: The run directory.
        data: The data.
        threads: CPU threads per trial.
        gpus: GPUs that Ray reserves for a trial.
        load_dataset: Gets the dataset in a worker process; None for this process.
    """
    spec, code, dataset = sweep.spec, sweep.spec.training_code, data.dataset
    if code is not None:
        return OwnFactory(
            run=run,
            code=code,
            objectives=spec.objectives,
            classes=() if dataset is None else tuple(dataset.manifest.classes),
            find_data=data.find,
            threads=threads,
            gpus=gpus,
        )
    assert dataset is not None, "our training loop needs a dataset"
    fingerprint = dataset.manifest.fingerprint
    return TrainingFactory(
        run=run,
        # Several sweeps may share this process, each with its own columns in the dataset.
        fingerprint=f"{fingerprint} {run}" if load_dataset is None else fingerprint,
        objective=spec.objective,
        threads=threads,
        gpus=gpus,
        load_dataset=load_dataset or (lambda: dataset),
        always_fuse=spec.fuse == "always",
        own_code=spec.own_code,
    )
