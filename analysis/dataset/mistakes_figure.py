"""The misclassified validation pictures with the highest confidence, and their votes."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.dataset.dataset import read_rows
from analysis.drawing.drawing import Drawing, file_stem
from analysis.drawing.style import MUTED, RULE, VERMILION, new_figure, shortened
from analysis.run.dataset import DatasetLeftOutError, find_dataset
from analysis.run.run_data import RunData, read_probabilities
from analysis.run.trials import incumbent, ranked

SHOWN = 8
"""Maximum number of pictures per true class."""
MOST_CLASSES = 12
"""Maximum number of true classes; of more, those with the largest share of mistakes are shown."""
VOTES = "votes_"
"""Prefix of the dataset columns that hold the taggers' votes."""
FEW_MODELS, FEW_CLASSES = 4, 6
"""A run of at most this many trials (`tune/specs/plain_variants.yaml` has three) and classes shows
the mistakes of every trial."""
MOST_VOTES = 2
"""Maximum number of vote categories below a picture, the most frequent first."""
LONGEST_GIVEN, LONGEST_TRUE = 9, 20
"""Characters of a class name below a picture, and of one beside a row."""
LINE = 0.19
"""Height of a line of text as a share of the height of a picture."""


def mistakes(run: RunData) -> Iterator[Drawing]:
    """Yield a figure for the incumbent, or for each of few models if classes are few too.

    Models without predictions or without mistakes are left out.

    Raises:
        DatasetLeftOutError: The dataset is missing or has changed since the run.
    """
    best = incumbent(run)
    few = len(run.trials) <= FEW_MODELS and len(run.info.classes) <= FEW_CLASSES
    for trial in ranked(run).to_dict("records") if few else [best]:
        is_best = trial["trial_id"] == best["trial_id"]
        predicted = read_probabilities(run, str(trial["trial_id"]))
        if predicted is None or not (predicted["predicted"] != predicted["label"]).any():
            continue
        model = f"{trial['name']}, trial {trial['number']}"
        data = prepare(run, predicted)
        wrong = int((predicted["predicted"] != predicted["label"]).sum())
        many = len(_shares_of_mistakes(predicted)) > MOST_CLASSES
        which = f"; the {MOST_CLASSES} classes with the lowest recall" if many else ""
        votes = " and the most frequent votes of its taggers" if any(data["votes"]) else ""
        yield Drawing(
            name="mistakes" if is_best else file_stem(f"mistakes_{model.replace(', ', '_')}"),
            title=f"What the incumbent gets wrong: {model}" if is_best else f"{model}: mistakes",
            caption=f"The model misclassifies {wrong:,} of {len(predicted):,} validation pictures. "
            f"Shown are the mistakes with the highest predicted probability, at most {SHOWN} per "
            f"true class (one row per class{which}), in decreasing order. Below each picture: the "
            f"predicted class with its probability{votes}.",
            draw=partial(draw, data, find_dataset(run).pixel_shape),
        )


def prepare(run: RunData, predicted: pd.DataFrame) -> pd.DataFrame:
    """Return a row per shown picture.

    Columns: ``true`` and ``given`` (class names; given is the predicted class), ``probability``
    (of the predicted class), ``pixels`` (bytes) and ``votes`` (as text, empty without votes).
    Sorted by true class, then by decreasing probability.

    Args:
        run: The run.
        predicted: The result of `read_probabilities`.
    """
    classes = np.array(run.info.classes)
    wrong = predicted[predicted["predicted"] != predicted["label"]]
    wrong = wrong.sort_values(["label", "probability", "image_id"], ascending=[True, False, True])
    worst = _shares_of_mistakes(predicted).nlargest(MOST_CLASSES).index
    shown = wrong[wrong["label"].isin(worst)].groupby("label").head(SHOWN)
    pictures = read_rows(find_dataset(run), shown["image_id"].tolist())
    missing = set(shown["image_id"]) - set(pictures.index)
    if missing:
        raise DatasetLeftOutError(f"the dataset lacks {len(missing)} of the predicted pictures")
    pictures = pictures.loc[shown["image_id"]]
    votes = [name for name in map(str, pictures) if name.startswith(VOTES)]
    return pd.DataFrame(
        {
            "true": classes[shown["label"]],
            "given": classes[shown["predicted"]],
            "probability": shown["probability"].to_numpy(),
            "pixels": pictures["pixels"].to_numpy(),
            "votes": [_votes(row) for row in pictures[votes].to_dict("records")],
        }
    )


def _shares_of_mistakes(predicted: pd.DataFrame) -> "pd.Series[float]":
    """Return true class (index of its label) → share of mistakes, of the classes with any."""
    wrong = (predicted["predicted"] != predicted["label"]).astype(float)
    shares = wrong.groupby(predicted["label"]).mean()
    return shares[shares > 0]


def draw(data: pd.DataFrame, shape: tuple[int, ...]) -> Figure:
    """Draw a row of pictures per true class, with two lines of text below each picture."""
    classes = list(dict.fromkeys(data["true"]))
    ratio = shape[0] / shape[1]
    row_height = ratio + (3 if any(data["votes"]) else 2) * LINE
    names = [shortened(name, LONGEST_TRUE) for name in classes]
    tile = (9.2 - 0.072 * max(map(len, names))) / SHOWN  # inches beside the names
    figure, grid = new_figure(9.3, tile * row_height * len(classes) + 0.15)
    axes: Axes = grid[0, 0]
    places = data.groupby("true", sort=False).cumcount()
    for column, row in zip(places, data.itertuples(), strict=True):
        _tile(axes, column, classes.index(str(row.true)) * row_height, row, shape)
    axes.set(xlim=(-0.04, SHOWN - 0.04), ylim=(row_height * len(classes), -0.04), xticks=[])
    axes.set_aspect("equal")
    axes.set_yticks([place * row_height + ratio / 2 for place in range(len(classes))], names)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return figure


def _tile(axes: Axes, x: float, y: float, row: Any, shape: tuple[int, ...]) -> None:
    """Draw one picture with its upper left corner at (x, y), 0.92 wide."""
    width, height = 0.92, 0.92 * shape[0] / shape[1]
    picture = np.frombuffer(row.pixels, np.uint8).reshape(shape)
    place = (x, x + width, y + height, y)
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255, extent=place, interpolation="nearest")
    text: dict[str, Any] = {"ha": "left", "va": "top", "fontsize": 7}
    given = f"{shortened(row.given, LONGEST_GIVEN)} {row.probability:.0%}"
    axes.text(x, y + height + 0.03, given, color=VERMILION, fontweight="bold", **text)
    axes.text(x, y + height + 0.03 + LINE * 0.8, row.votes, color=MUTED, **text)
    axes.plot([x, x + width], [y + height] * 2, color=RULE, linewidth=0.5)


def _votes(row: dict[Any, float]) -> str:
    """Return the most frequent votes, one per line, such as ``neutral 5``; NaN is for none."""
    counted = sorted(((count, name) for name, count in row.items() if count > 0), reverse=True)
    return "\n".join(
        f"{name.removeprefix(VOTES)} {count:.0f}" for count, name in counted[:MOST_VOTES]
    )
