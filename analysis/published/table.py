"""The table of what a published table of accuracies supports."""

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from analysis.published.statistics import Conclusion, claims_of, judge
from analysis.rendering.digits import p_text, signed, supported
from analysis.rendering.table import Column, Table, View
from analysis.run.metric import points_text
from analysis.statistics.verdicts import MARGIN
from fairsweep.errors import UserError


def published(csv: Path, pictures: int, claims: Sequence[str]) -> Table:
    """Test ``claims`` (such as ``kernel=5:3``), and the claim that the best model is the best.

    Frame: a row per claim, as `analysis.published.statistics.judge` returns it, with ``n``
    (``pictures``).

    Raises:
        UserError: The file cannot be read, lacks a column or level that a claim names, or has too
            few models.
    """
    if pictures < 1:
        raise UserError(f"--pictures must be at least 1, but got {pictures}")
    table = _read(csv)
    conclusions = dict(map(partial(_conclusion, table), claims))
    names = list(dict.fromkeys(claimed.hyperparameter for claimed in conclusions.values()))
    effects = 1 + int((table[names].nunique() - 1).sum())
    if len(table) <= effects:
        raise UserError(
            f"{csv} has {len(table)} models, too few to estimate the {effects} effects of the "
            f"claimed hyperparameters; give more than {effects} models or claim fewer "
            "hyperparameters"
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
        "n: pictures on which all models were tested.",
        "The verdicts hold for these trainings, not for other seeds. They treat the accuracies as "
        "independent shares of n pictures, which is conservative, and are adjusted for the number "
        "of claims, or of all pairs of models.",
        f"Equivalent: within {points_text(MARGIN)}.",
        "To show it: with 80 % probability. The number of replicates assumes that seeds cause all "
        "differences that the claimed hyperparameters do not explain.",
        *_not_claimed(table, names),
    )
    view = View(title=f"What {csv.name} supports", columns=columns)
    return Table(name="published", frame=frame, views=(view,), notes=notes)


def _not_claimed(table: pd.DataFrame, names: Sequence[str]) -> Iterator[str]:
    """Say which columns differ between models with equal levels of the claimed ``names``.

    Columns whose values are all different are measurements, not hyperparameters.
    """
    left_out = ("name", "accuracy", *names)
    within = table.groupby(list(names)).nunique()
    varied = [
        column
        for column in map(str, table)
        if column not in left_out
        and table[column].nunique() < len(table)
        and (within[column] > 1).any()
    ]
    if varied:
        yield (
            f"Not claimed: {', '.join(varied)}. What these change counts as if seeds had caused "
            "it; with a claim for each, the number of replicates is more exact."
        )


def _read(csv: Path) -> pd.DataFrame:
    try:
        table = pd.read_csv(csv)
    except OSError as error:
        raise UserError(f"cannot read {csv}: {error.strerror}") from error
    except ValueError as error:
        raise UserError(f"{csv} is not a CSV file: {error}") from error
    missing = [name for name in ("name", "accuracy") if name not in table]
    if missing:
        raise UserError(
            f"{csv} has no column {missing[0]}; it needs name, accuracy (0 to 1) and a column for "
            "each hyperparameter, as docs/results.md shows"
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


def _conclusion(table: pd.DataFrame, claim: str) -> tuple[str, Conclusion]:
    """Parse a claim such as ``kernel=5:3``; return its wording and its conclusion."""
    name, _, both = claim.partition("=")
    if name not in table or both.count(":") != 1:
        raise UserError(
            f"--claim must be COLUMN=BETTER:WORSE, such as kernel=5:3, with one of the columns "
            f"{', '.join(map(str, table))}, but got {claim!r}"
        )
    levels = {str(value): value for value in table[name].unique()}
    better, worse = both.split(":")
    if better == worse or not {better, worse} <= levels.keys():
        raise UserError(f"--claim {claim} must name two levels of {name} ({', '.join(levels)})")
    return f"{name} {better} beats {worse}", Conclusion(name, levels[better], levels[worse])
