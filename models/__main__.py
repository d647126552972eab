"""The commands of `python -m models`: parse, call, print."""

import argparse
import csv
import json
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from fairsweep.command_line import USER_ERROR, run_command

if TYPE_CHECKING:  # `--help` need not wait for torch.
    from models.new_pictures import Answer


def main(arguments: list[str] | None = None) -> int:
    """Run one command and return its exit code."""
    parsed = _parser().parse_args(arguments)
    return run_command("models", lambda: _predict(parsed))


def _predict(parsed: argparse.Namespace) -> int:
    from models.run_weights import find_weights

    weights = find_weights(parsed.run, parsed.trial)

    import torch

    from models.classifier import Classifier
    from models.new_pictures import classify, find_pictures

    pictures = find_pictures(parsed.pictures)
    classifier = Classifier.read(weights, "cuda" if torch.cuda.is_available() else "cpu")
    answers = _told(classify(classifier, pictures), len(pictures), as_json=parsed.json)
    if not parsed.json:
        return _print_csv(answers)
    found = list(answers)
    trial = {"trial": weights.parent.name, "name": classifier.config.name}
    print(json.dumps({**trial, "epoch": classifier.epoch, **_as_json(found)}, indent=2))
    return USER_ERROR if any(one.fault for one in found) else 0


def _told(answers: "Iterable[Answer]", total: int, *, as_json: bool) -> "Iterator[Answer]":
    """Pass answers on, with a progress bar where it is in nobody's way; tell every fault."""
    from rich.console import Console
    from rich.progress import Progress

    console = Console(stderr=True)
    hidden = total == 1 or not console.is_terminal or (sys.stdout.isatty() and not as_json)
    with Progress(console=console, disable=hidden, transient=True, redirect_stdout=False) as bar:
        for answer in bar.track(answers, total=total, description="classifying"):
            if answer.fault:
                print(f"error: {answer.picture} cannot be read: {answer.fault}", file=sys.stderr)
            yield answer


def _print_csv(answers: "Iterable[Answer]") -> int:
    """Print a row for each picture that could be read, as soon as it is known."""
    rows = csv.writer(sys.stdout, lineterminator="\n")
    begun, code = False, 0
    for answer in answers:
        if answer.fault:
            code = USER_ERROR
            continue
        if not begun:
            rows.writerow(("picture", "class", *answer.probabilities))
            begun = True
        figures = (f"{one:.4f}" for one in answer.probabilities.values())
        rows.writerow((answer.picture, answer.label, *figures))
    return code


def _as_json(answers: "Iterable[Answer]") -> dict[str, list[dict[str, object]]]:
    read: list[dict[str, object]] = []
    left_out: list[dict[str, object]] = []
    for one in answers:
        if one.fault:
            left_out.append({"picture": str(one.picture), "reason": one.fault})
        else:
            read.append(
                {
                    "picture": str(one.picture),
                    "class": one.label,
                    "probabilities": one.probabilities,
                }
            )
    return {"predictions": read, "left_out": left_out}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m models", description="Use trained networks.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    words = "Classify new pictures; prints CSV, a row for each."
    predict = commands.add_parser(
        "predict",
        help=words,
        description=words,
        epilog="example: python -m models predict runs/quick holiday/ > classes.csv",
    )
    predict.add_argument("run", type=Path, metavar="RUN", help="a run directory")
    predict.add_argument(
        "pictures", type=Path, metavar="PICTURE|FOLDER", help="png, jpg, bmp or webp; any size"
    )
    predict.add_argument("--trial", metavar="ID", help="another trial than the incumbent")
    predict.add_argument("--json", action="store_true", help="print one JSON object")
    return parser


if __name__ == "__main__":
    sys.exit(main())
