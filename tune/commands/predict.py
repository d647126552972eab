"""`tune predict`: classify new pictures with a trained network of a run."""

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import torch
from rich.console import Console
from rich.progress import Progress

from fairsweep.command_line import USER_ERROR, shell_path
from models.classifier import Classifier
from models.new_pictures import Prediction, classify, find_pictures
from tune.commands.options import add_run, add_trial, add_trust
from tune.run.directory import RunError, best_weights
from tune.run.lookup import find_trial
from tune.session.code import open_code, refuse_own
from tune.session.run_directory import read_spec
from tune.session.status import read_sweep

EXAMPLE = "runs/quick holiday/ > classes.csv"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the run, the pictures, the trial and the format."""
    add_run(command)
    command.add_argument(
        "pictures", type=Path, metavar="PICTURE|FOLDER", help="png, jpg, tif, gif, …; any size"
    )
    add_trial(command)
    add_trust(command)
    command.add_argument("--json", action="store_true", help="print one JSON object")


def run(parsed: argparse.Namespace) -> int:
    """Print a CSV row for each picture, or one JSON object.

    Returns:
        0, or 2 if a picture cannot be read; the others are classified nevertheless.
    """
    weights = find_weights(parsed.run, parsed.trial)
    open_code(parsed.run, read_spec(parsed.run), trust_code=parsed.trust_code)
    pictures = find_pictures(parsed.pictures)
    classifier = Classifier.read(weights, "cuda" if torch.cuda.is_available() else "cpu")
    predictions = _with_progress(classify(classifier, pictures), len(pictures), as_json=parsed.json)
    if not parsed.json:
        return _print_csv(predictions)
    found = list(predictions)
    trial = {"trial": weights.parent.name, "name": classifier.config.name}
    print(json.dumps({**trial, "epoch": classifier.epoch, **_json_lists(found)}, indent=2))
    return USER_ERROR if any(prediction.fault for prediction in found) else 0


def find_weights(run: Path, trial_id: str | None = None) -> Path:
    """Return the file with the best weights of a trial, by default the incumbent.

    Raises:
        RunError: ``run`` is not a run directory, has no such trial or no trained trial yet, or the
            weights of the trial were not kept.
    """
    sweep = read_sweep(run)
    refuse_own(run, sweep.spec, "predict")
    if trial_id is not None:
        trial_id = find_trial(run, sweep.trials.values(), trial_id).id
    else:
        if sweep.incumbent is None:
            raise RunError(
                f"{run} has no trained trial yet; see `python -m tune status {shell_path(run)}`"
            )
        trial_id = sweep.incumbent.id
    kept = sorted(trial for trial in sweep.trials if best_weights(run, trial).is_file())
    if trial_id in kept:
        return best_weights(run, trial_id)
    raise RunError(
        f"{run} keeps no weights of trial {trial_id}; --trial can be "
        f"{', '.join(kept) or 'none, because no weights are kept'}"
    )


def _with_progress(
    predictions: Iterable[Prediction], total: int, *, as_json: bool
) -> Iterator[Prediction]:
    """Yield predictions with a progress bar, and report each unreadable picture on stderr.

    There is no bar for a single picture, or on a terminal that shows the CSV rows.
    """
    console = Console(stderr=True)
    hidden = total == 1 or not console.is_terminal or (sys.stdout.isatty() and not as_json)
    with Progress(console=console, disable=hidden, transient=True, redirect_stdout=False) as bar:
        for prediction in bar.track(predictions, total=total, description="classifying"):
            if prediction.fault:
                message = f"{prediction.picture} cannot be read: {prediction.fault}"
                print(f"error: {message}", file=sys.stderr)
            yield prediction


def _print_csv(predictions: Iterable[Prediction]) -> int:
    """Print a row for each readable picture as soon as it is classified; return the exit code."""
    rows = csv.writer(sys.stdout, lineterminator="\n")
    has_header, code = False, 0
    for prediction in predictions:
        if prediction.fault:
            code = USER_ERROR
            continue
        if not has_header:
            rows.writerow(("picture", "class", *prediction.probabilities))
            has_header = True
        numbers = (f"{probability:.4f}" for probability in prediction.probabilities.values())
        rows.writerow((prediction.picture, prediction.label, *numbers))
    return code


def _json_lists(predictions: Iterable[Prediction]) -> dict[str, list[dict[str, object]]]:
    classified: list[dict[str, object]] = []
    left_out: list[dict[str, object]] = []
    for prediction in predictions:
        picture = {"picture": str(prediction.picture)}
        if prediction.fault:
            left_out.append({**picture, "reason": prediction.fault})
        else:
            answer = {"class": prediction.label, "probabilities": prediction.probabilities}
            classified.append({**picture, **answer})
    return {"predictions": classified, "left_out": left_out}
