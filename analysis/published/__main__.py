"""`python -m analysis.published`: what a published table of accuracies supports."""

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from analysis.published.statistics import claims_of, judge
from analysis.rendering.digits import p_text, signed, supported
from analysis.rendering.render import FORMATS
from analysis.rendering.table import Column, Table, View
from fairsweep.command_line import run_command
from fairsweep.errors import UserError


def main(argv: Sequence[str] | None = None) -> int:
    """Judge the claims that the command line names; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m analysis.published",
        description="What a published grid of single trainings supports, by its accuracies alone.",
        epilog="example: python -m analysis.published tests/fixtures/study_a_table_2_2.csv "
        "--pictures 2225 --claim kernel=5:3 --claim blocks=8:4 --claim channels=32:16",
    )
    parser.add_argument(
        "csv", type=Path, metavar="CSV", help="a row per model: name, hyperparameters, accuracy"
    )
    parser.add_argument("--pictures", type=int, required=True, help="on which all were judged")
    parser.add_argument(
        "--claim",
        action="append",
        required=True,
        metavar="HYPERPARAMETER=BETTER:WORSE",
        help="a conclusion; name every hyperparameter that varies, in one or more of them",
    )
    parser.add_argument("--format", choices=FORMATS, default="md", help="default md (Markdown)")
    options = parser.parse_args(argv)

    def command() -> int:
        made = published(options.csv, options.pictures, options.claim)
        print(FORMATS[options.format](made), end="")
        return 0

    return run_command("analysis", command)


def published(csv: Path, pictures: int, claims: Sequence[str]) -> Table:
    """Judge ``claims`` (``kernel=5:3``), and that the best model is the best: a row each.

    Frame: that of `analysis.published.statistics.judge`, with ``n`` (``pictures``).

    Raises:
        UserError: The file cannot be read, lacks a column or a level that is claimed, or holds too
            few models.
    """
    if pictures < 1:
        raise UserError(f"--pictures must be at least 1, but got {pictures}")
    table = _read(csv)
    conclusions = dict(map(partial(_conclusion, table), claims))
    names = list(dict.fromkeys(name for name, _, _ in conclusions.values()))
    effects = 1 + int((table[names].nunique() - 1).sum())
    if len(table) <= effects:
        raise UserError(
            f"{csv} has {len(table)} models, and the claimed hyperparameters alone explain so many "
            f"of any accuracy; give more than {effects}, or claim of fewer hyperparameters"
        )
    frame = judge(table, names, pictures, claims_of(table, conclusions)).assign(n=pictures)
    text = signed(supported(frame, "difference_low", "difference_high"))
    interval = Column(
        key="difference_low", upper_key="difference_high", heading="95 % interval", text=text
    )
    columns = (
        Column(key="claim", heading="claim"),
        Column(key="difference", heading="difference", text=text),
        interval,
        Column(key="p_adjusted", heading="p, adjusted", text=p_text),
        Column(key="verdict", heading="verdict"),
        Column(key="pictures", heading="pictures to show it"),
        Column(key="replicates", heading="replicates to show it"),
        Column(key="n", heading="n"),
    )
    notes = (
        "n: pictures on which all models were judged.",
        "A statement about these trainings: accuracies as independent shares of n pictures, which "
        "is conservative, and adjusted for the claims made, or for all pairs of models.",
        "To show it: with 80 % probability; replicates by what the claimed hyperparameters leave "
        "unexplained between trainings, the only guess at what a seed does.",
    )
    view = View(title=f"What {csv.name} supports", columns=columns)
    return Table(name="published", frame=frame, views=(view,), notes=notes)


def _read(csv: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(csv)
    except OSError as error:
        raise UserError(f"cannot read {csv}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{csv} is no CSV file: {error}") from error
    missing = [name for name in ("name", "accuracy") if name not in table]
    if missing:
        raise UserError(
            f"{csv} has no column {missing[0]}; it needs name, accuracy and hyperparameters"
        )
    if not pd.api.types.is_numeric_dtype(table["accuracy"]):
        raise UserError(f"{csv}: accuracy must be a number from 0 to 1 in every row")
    wrong = table.loc[~table["accuracy"].between(0, 1), "accuracy"]
    if len(wrong):
        raise UserError(
            f"{csv}, line {wrong.index[0] + 2}: accuracy must be from 0 to 1, "
            f"but got {wrong.iloc[0]:g}"
        )
    return table


def _conclusion(table: pd.DataFrame, claim: str) -> tuple[str, tuple[str, object, object]]:
    """Read ``kernel=5:3``: its words → hyperparameter, the level said to be better, the other."""
    name, _, both = claim.partition("=")
    if name not in table or both.count(":") != 1:
        raise UserError(
            f"--claim must be like kernel=5:3, of a column ({', '.join(map(str, table))}), "
            f"but got {claim!r}"
        )
    levels = {str(value): value for value in table[name].unique()}
    better, worse = both.split(":")
    if better == worse or not {better, worse} <= levels.keys():
        raise UserError(f"--claim {claim} must name two levels of {name} ({', '.join(levels)})")
    return f"{name} {better} beats {worse}", (name, levels[better], levels[worse])


if __name__ == "__main__":
    sys.exit(main())
