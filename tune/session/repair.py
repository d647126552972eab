"""Recreates predictions that are missing in a run directory, for example after a killed sweep."""

from collections.abc import Iterator
from pathlib import Path

from data_prep.reader import ImageDataset
from tune.run.directory import CHECKPOINTS_DIR, best_weights, predictions_file
from tune.run.tables import is_whole
from tune.run.trial import Status, Trial
from tune.sweep.sweep import Sweep


def repair(run: Path, sweep: Sweep, dataset: ImageDataset) -> Iterator[str]:
    """Recreate lost predictions, and yield a line for each kind of repair.

    Own training code may give none; those that it gives are on disk before its epochs are reported.

    They come from the best weights, if those exist. A trial that was stopped early and left no
    files, because its worker was killed at that moment, is trained again to the same epoch.
    """
    if sweep.spec.train is not None:
        return
    lost = [trial for trial in sweep.trials.values() if _lacks_predictions(run, trial)]
    kept = [trial for trial in lost if _predicted_again(run, sweep, trial, dataset)]
    again = [t for t in lost if t not in kept and t.status is Status.EARLY_STOPPED]
    gone = len(lost) - len(kept) - len(again)
    for trial in again:
        sweep.train_again(trial.id)
    if kept:
        yield f"recreated the predictions of {len(kept)} trials from their best weights"
    if again:
        yield f"{len(again)} trials that were stopped early left no files and are trained again"
    if gone:
        yield f"the predictions of {gone} trials are lost, and so are their checkpoints"


def _lacks_predictions(run: Path, trial: Trial) -> bool:
    scored = trial.ended and trial.best() is not None
    return scored and not is_whole(predictions_file(run, trial.id))


def _predicted_again(run: Path, sweep: Sweep, trial: Trial, dataset: ImageDataset) -> bool:
    """Recreate a trial's predictions, on test too if it was opened; return whether it worked."""
    if not best_weights(run, trial.id).is_file():
        return False
    # Imported late, because repairs are rare and torch takes seconds to import.
    from models.checkpoint import CheckpointError
    from tune.execution.predictions import predict_from_best

    try:
        for split in ("val", "test") if trial.id in sweep.openings else ("val",):
            predict_from_best(run, trial.id, dataset, split)
    except CheckpointError:
        return False
    return True


def what_counts(run: Path, before: dict[str, int], sweep: Sweep) -> str:
    """Return one line on what an extension does with the existing trials.

    Args:
        run: The run directory.
        before: Epochs of each trial that had ended before the extension.
        sweep: The extended sweep.
    """
    reopened = [
        trial_id for trial_id, epochs in before.items() if sweep.trials[trial_id].epochs > epochs
    ]
    kept = [
        trial_id
        for trial_id in reopened
        if (run / CHECKPOINTS_DIR / sweep.folder(trial_id) / "last.pt").is_file()
    ]
    anew = len(reopened) - len(kept)
    line = f"{len(before) - len(reopened)} trials are kept as they are"
    if kept:
        line += f", {len(kept)} continue from their checkpoints"
    if anew:
        line += f", {anew} start again because their last.pt is missing"
    return line
