"""The commands of `data_prep`: parses arguments, calls, prints."""

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from rich.console import Console

from data_prep.duplicates import DEFAULT_SEARCH, SEARCH_VERSIONS
from data_prep.fer2013 import prepare_fer2013
from data_prep.folders import prepare_folders
from data_prep.image_options import add_image_options, image_options
from data_prep.images import prepare_images
from data_prep.inspection import inspect_dataset
from data_prep.inspection_figures import write_figures
from data_prep.manifest import DatasetManifest
from data_prep.splits import SPLIT_METHODS
from data_prep.summary import print_inspection, print_summary, summary
from data_prep.synthetic import DEFAULT_IMAGES, prepare_synthetic
from data_prep.votes import RULES
from fairsweep.command_line import run_command
from fairsweep.errors import UserError
from fairsweep.terminal import plain_console

EXAMPLES = {
    "fer2013": "python -m data_prep fer2013 --images fer2013plus.tar.gz --out data/fer2013",
    "folders": "python -m data_prep folders --config sources.yaml --out data/merged",
    "images": "python -m data_prep images my_pictures --colour --image-size 64 --out data/mine",
    "synthetic": "python -m data_prep synthetic --out data/synthetic",
    "inspect": "python -m data_prep inspect data/fer2013 --figures fer2013-figures",
}

SEEDS = 1 << 32
"""Seeds that scikit-learn's random split takes."""


def main(arguments: list[str] | None = None) -> int:
    """Run a command and return its exit code."""
    options = _parser().parse_args(arguments)
    return run_command("data_prep", lambda: _run(options))


def _run(options: argparse.Namespace) -> int:
    if options.command == "inspect":
        return _inspect(options)
    if not 0 <= options.seed < SEEDS:
        raise UserError(f"--seed must be from 0 to {SEEDS - 1:,}, but got {options.seed}")
    shared: dict[str, Any] = {
        "out": options.out,
        "seed": options.seed,
        "near_duplicates": options.near_duplicates,
        "duplicates": options.duplicates,
        "name": options.name,
    }
    with Console(stderr=True).status("preparing the dataset"):
        if options.command == "synthetic":
            manifest = prepare_synthetic(images=options.images, **shared)
        else:
            shared |= {
                "split": options.split,
                "groups": options.groups,
                "together": options.together,
                "skip_bad": options.skip_bad,
            }
            if options.command == "images":
                manifest = prepare_images(options.path, **image_options(options), **shared)
            elif options.command == "folders":
                manifest = prepare_folders(config=options.config, **shared)
            else:
                manifest = prepare_fer2013(
                    images=options.images, votes=options.votes, rule=options.rule, **shared
                )
    for note in manifest.details.get("notes", ()):
        print(f"note: {note}", file=sys.stderr)
    for warning in manifest.details.get("warnings", ()):
        print(f"warning: {warning}", file=sys.stderr)
    print_summary(manifest, plain_console())
    print(f"{manifest.images:,} pictures are in {options.out}")
    return 0


def _inspect(options: argparse.Namespace) -> int:
    manifest = DatasetManifest.read(options.dataset)
    found = inspect_dataset(options.dataset)
    if options.json:
        print(json.dumps(summary(manifest) | found.summary(), indent=2))
    else:
        console = plain_console()
        print_summary(manifest, console)
        print_inspection(manifest, found, console)
    if options.figures is not None:
        with Console(stderr=True).status("drawing"):
            names = write_figures(options.dataset, manifest, found, options.figures)
        print(f"wrote {', '.join(names)} into {options.figures}", file=sys.stderr)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m data_prep", description="Turn raw images into a dataset."
    )
    commands = parser.add_subparsers(dest="command", required=True)
    fer2013 = _command(commands, "fer2013", "FER2013 with the FER+ votes, relabelled to 4 classes")
    fer2013.add_argument(
        "--images",
        type=Path,
        required=True,
        help="fer2013.csv, icml_face_data.csv, the FER+ folder of PNGs, or a .zip, .tar or .tar.gz",
    )
    fer2013.add_argument(
        "--votes", type=Path, help="fer2013new.csv, where it is not in the folder or archive"
    )
    fer2013.add_argument("--rule", choices=RULES, default="published", help="labelling rule")
    fer2013.add_argument(
        "--split", choices=SPLIT_METHODS,
        help="grouped (default) keeps duplicates in one split; given uses the column Usage",
    )  # fmt: skip
    images = _command(commands, "images", "labelled pictures from one folder, archive or file")
    add_image_options(images)
    folders = _command(commands, "folders", "class folders and prepared datasets, merged")
    folders.add_argument(
        "--config", type=Path, required=True, help="sources file, such as data_prep/sources/*.yaml"
    )
    for command in (images, folders):
        command.add_argument(
            "--split", choices=SPLIT_METHODS,
            help="given keeps an official split; default if all sources have one, else grouped",
        )  # fmt: skip
    for command in (fer2013, images, folders):
        command.add_argument("--groups", type=Path, help="CSV with image_id and columns to join")
        command.add_argument(
            "--together", metavar="COLUMN",
            help="keep pictures of one person, patient or scene in one split and one fold",
        )  # fmt: skip
        command.add_argument(
            "--skip-bad", action="store_true", help="list bad input in rejected.csv and continue"
        )
    synthetic = _command(commands, "synthetic", "faces drawn by a program, with ten taggers' votes")
    synthetic.add_argument(
        "--images", type=int, default=DEFAULT_IMAGES, help=f"raw pictures ({DEFAULT_IMAGES:,})"
    )
    for command in (fer2013, images, folders, synthetic):
        command.add_argument("--out", type=Path, required=True, help="directory to write")
        command.add_argument("--seed", type=int, default=0, help="seed of all random draws")
        command.add_argument(
            "--no-near-duplicates",
            dest="near_duplicates",
            action="store_false",
            help="look for byte-identical pictures only",
        )
        command.add_argument(
            "--duplicates", choices=SEARCH_VERSIONS,
            default=None if command in (folders, images) else DEFAULT_SEARCH,
            help="near-duplicate search; v1 reproduces datasets made before v2",
        )  # fmt: skip
        command.add_argument("--name", help="name of the dataset (default: the directory's)")
    inspect = _command(commands, "inspect", "show what a prepared dataset holds")
    inspect.add_argument("dataset", type=Path, help="dataset directory")
    inspect.add_argument("--json", action="store_true", help="print one JSON object")
    inspect.add_argument(
        "--figures",
        type=Path,
        metavar="OUT",
        help="write figures of classes, samples, pixels, copies and what was left out to OUT",
    )
    return parser


def _command(
    commands: "argparse._SubParsersAction[argparse.ArgumentParser]", name: str, about: str
) -> argparse.ArgumentParser:
    return commands.add_parser(
        name, help=about, description=about, epilog=f"example: {EXAMPLES[name]}"
    )


if __name__ == "__main__":
    sys.exit(main())
