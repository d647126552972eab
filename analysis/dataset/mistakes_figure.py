"""What models get wrong: the validation pictures that they are surest of, with their votes."""

from collections.abc import Iterator
from functools import partial
from textwrap import shorten
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from analysis.dataset.dataset import DatasetLeftOutError, find_dataset, read_rows
from analysis.drawing.drawing import Drawing, file_stem
from analysis.drawing.style import MUTED, RULE, VERMILION, new_figure
from analysis.run.run_data import RunData, read_probabilities
from analysis.run.trials import incumbent, ranked

SHOWN = 8
"""Pictures of each true class at most."""
VOTES = "votes_"
"""Columns of the dataset with the taggers' votes begin with this."""
FEW_MODELS = 4
"""A run of at most this many trials, such as study B's three, shows the mistakes of each."""
MOST_VOTES = 2
"""Kinds of votes told below a picture, the most frequent first."""
LINE = 0.19
"""Height of a line of text as a share of a picture's."""


def mistakes(run: RunData) -> Iterator[Drawing]:
    """Yield a figure for the incumbent, or for each model where a run compares only a few.

    Those without predictions or mistakes are left out.

    Raises:
        DatasetLeftOutError: The dataset is not there or no longer the same.
    """
    best = incumbent(run)
    few = len(run.trials) <= FEW_MODELS
    for trial in ranked(run).to_dict("records") if few else [best]:
        is_best = trial["trial_id"] == best["trial_id"]
        predicted = read_probabilities(run, str(trial["trial_id"]))
        if predicted is None or not (predicted["predicted"] != predicted["label"]).any():
            continue
        model = f"{trial['name']}, trial {trial['number']}"
        data = prepare(run, predicted)
        wrong = int((predicted["predicted"] != predicted["label"]).sum())
        votes = " and the most frequent votes of its taggers" if any(data["votes"]) else ""
        yield Drawing(
            name="mistakes" if is_best else file_stem(f"mistakes_{model.replace(', ', '_')}"),
            title=f"What the incumbent gets wrong: {model}" if is_best else f"{model}: mistakes",
            caption=f"It gives {wrong:,} of {len(predicted):,} validation pictures another class "
            f"than their label; shown are those it is surest of, at most {SHOWN} of each true "
            "class (a row each), in their order. Below each: the class it predicts, with its "
            f"probability{votes}.",
            draw=partial(draw, data, find_dataset(run).shape),
        )


def prepare(run: RunData, predicted: pd.DataFrame) -> pd.DataFrame:
    """Return a row per shown picture.

    Columns: ``true`` and ``given`` (names of classes), ``probability`` (of the class given),
    ``pixels`` (bytes) and ``votes`` (in words, empty where there are none); by true class, the
    surest first.

    Args:
        run: The run.
        predicted: What `read_probabilities` returns.
    """
    classes = np.array(run.info.classes)
    wrong = predicted[predicted["predicted"] != predicted["label"]]
    wrong = wrong.sort_values(["label", "probability", "image_id"], ascending=[True, False, True])
    shown = wrong.groupby("label").head(SHOWN)
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


def draw(data: pd.DataFrame, shape: tuple[int, int]) -> Figure:
    """Draw a row of pictures per true class, each with two lines of text below it."""
    classes = list(dict.fromkeys(data["true"]))
    ratio = shape[0] / shape[1]
    row_height = ratio + (3 if any(data["votes"]) else 2) * LINE
    figure, grid = new_figure(9.3, 1.08 * row_height * len(classes) + 0.15)
    axes: Axes = grid[0, 0]
    places = data.groupby("true", sort=False).cumcount()
    for column, row in zip(places, data.itertuples(), strict=True):
        _tile(axes, column, classes.index(str(row.true)) * row_height, row, shape)
    axes.set(xlim=(-0.04, SHOWN - 0.04), ylim=(row_height * len(classes), -0.04), xticks=[])
    axes.set_aspect("equal")
    axes.set_yticks([place * row_height + ratio / 2 for place in range(len(classes))], classes)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    return figure


def _tile(axes: Axes, x: float, y: float, row: Any, shape: tuple[int, int]) -> None:
    """Draw one picture with its upper left corner at (x, y), 0.92 wide."""
    width, height = 0.92, 0.92 * shape[0] / shape[1]
    picture = np.frombuffer(row.pixels, np.uint8).reshape(shape)
    place = (x, x + width, y + height, y)
    axes.imshow(picture, cmap="gray", vmin=0, vmax=255, extent=place, interpolation="nearest")
    text: dict[str, Any] = {"ha": "left", "va": "top", "fontsize": 7.5}
    given = f"{shorten(row.given, 12, placeholder='…')} {row.probability:.0%}"
    axes.text(x, y + height + 0.03, given, color=VERMILION, fontweight="bold", **text)
    axes.text(x, y + height + 0.03 + LINE * 0.8, row.votes, color=MUTED, **text)
    axes.plot([x, x + width], [y + height] * 2, color=RULE, linewidth=0.5)


def _votes(row: dict[Any, int]) -> str:
    """Write the most frequent votes: ``neutral 5, sadness 3``."""
    counted = sorted(((count, name) for name, count in row.items() if count), reverse=True)
    told = [f"{name.removeprefix(VOTES)} {count}" for count, name in counted[:MOST_VOTES]]
    return "\n".join(told)
