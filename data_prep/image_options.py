"""The options of `data_prep images`, which a sources file has as keys."""

import argparse
from pathlib import Path
from typing import Any, get_args

from data_prep.pictures import FITS
from data_prep.sources_file import Role
from data_prep.splits import MIN_PER_CLASS

ROLES: tuple[str, ...] = get_args(Role)


def add_image_options(parser: argparse.ArgumentParser) -> None:
    """Add the place of the pictures, and how to read them."""
    parser.add_argument(
        "path", type=Path,
        help="class folders, or pictures and a CSV or JSON Lines file with labels (also in an "
        "archive), Parquet files with pictures, or an npz file",
    )  # fmt: skip
    parser.add_argument("--labels", type=Path, help="CSV or JSON Lines file, if not in the folder")
    parser.add_argument(
        "--votes", type=Path, metavar="CSV",
        help="several annotators' labels: a column of counts for each class, or a row per vote",
    )  # fmt: skip
    parser.add_argument(
        "--torchvision", metavar="SET",
        help="a set of torchvision, such as SVHN, which torchvision reads from PATH, its root",
    )  # fmt: skip
    parser.add_argument(
        "--download", action="store_true", help="let torchvision download the set to PATH"
    )
    parser.add_argument(
        "--columns", nargs="+", type=_role, metavar="ROLE=NAME",
        help=f"names of columns that are not found by name; roles are {', '.join(ROLES)}",
    )  # fmt: skip
    parser.add_argument(
        "--colour", action="store_true", help="keep red, green and blue; by default gray"
    )
    parser.add_argument("--image-size", type=int, help="height and width, in pixels (48)")
    parser.add_argument("--fit", choices=FITS, help="how pictures become square (stretch)")
    parser.add_argument(
        "--fold-case", action="store_true",
        help="take labels that differ in case or white space only for one",
    )  # fmt: skip
    parser.add_argument(
        "--min-per-class", type=int,
        help=f"pictures that each class must have ({MIN_PER_CLASS})",
    )  # fmt: skip
    parser.add_argument(
        "--trim-margin", action="store_true", help="remove a frame of one colour around pictures"
    )


def image_options(options: argparse.Namespace) -> dict[str, Any]:
    """Return what `prepare_images` needs of the options that `add_image_options` adds."""
    return {
        "about_source": {
            "labels": options.labels,
            "votes": options.votes,
            "torchvision": options.torchvision,
            "download": options.download,
            "columns": dict(options.columns) if options.columns else None,
            "fold_case": options.fold_case,
            "trim_margin": options.trim_margin,
        },
        "about_dataset": {
            "colour": options.colour,
            "image_size": options.image_size,
            "fit": options.fit,
            "min_per_class": options.min_per_class,
        },
    }


def _role(text: str) -> tuple[str, str]:
    role, _, name = text.partition("=")
    if role not in ROLES or not name:
        raise argparse.ArgumentTypeError(
            f"{text!r} must be ROLE=NAME with a role of {', '.join(ROLES)}"
        )
    return role, name
