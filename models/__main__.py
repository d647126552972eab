"""The commands of `python -m models`: parse, call, print."""

import argparse
import csv
import json
import sys
import tempfile
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # `--help` need not wait for torch.
    from models.new_pictures import Answer

USER_ERROR = 2
OUR_FAULT = 1
INTERRUPTED = 130


def main(arguments: list[str] | None = None) -> int:
    """Run one command; return the exit code of design.md."""
    parsed = _parser().parse_args(arguments)
    try:
        return _predict(parsed)
    except KeyboardInterrupt:
        return INTERRUPTED
    except Exception as error:
        from models.checkpoint import CheckpointError
        from models.run_weights import RunError

        if isinstance(error, RunError | CheckpointError | FileNotFoundError | ValueError):
            print(f"error: {error}", file=sys.stderr)
            return USER_ERROR
        return _report_fault()


def _report_fault() -> int:
    """Write the traceback to a file and name it."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="models-fault-", suffix=".log", delete=False, encoding="utf-8"
    ) as file:
        traceback.print_exc(file=file)
    print(f"error: a fault of this program; the traceback is in {file.name}", file=sys.stderr)
    return OUR_FAULT


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
