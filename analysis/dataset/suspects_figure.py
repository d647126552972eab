"""The pictures whose labels are most suspect."""

from collections.abc import Iterator
from functools import partial

from analysis.dataset.mistakes_figure import MOST_CLASSES, SHOWN, draw, prepare
from analysis.dataset.suspects import judged
from analysis.drawing.drawing import Drawing
from analysis.run.dataset import find_dataset
from analysis.run.run_data import RunData
from analysis.statistics.estimate import NotKnownError


def suspects(run: RunData) -> Iterator[Drawing]:
    """Yield one figure if any label is suspected.

    Raises:
        DatasetLeftOutError: The dataset is missing or has changed since the run.
    """
    try:
        pictures, models = judged(run)
    except NotKnownError:
        return
    if not pictures["suspected"].any():
        return
    doubted = pictures.assign(predicted=pictures["suggested"].where(pictures["suspected"]))
    doubted = doubted.fillna({"predicted": doubted["label"]}).astype({"predicted": "int64"})
    many = pictures.loc[pictures["suspected"], "label"].nunique() > MOST_CLASSES
    which = f"; the {MOST_CLASSES} labels with the largest share of them" if many else ""
    yield Drawing(
        name="suspects",
        title="Labels that may be wrong",
        caption=f"{int(pictures['suspected'].sum()):,} of {len(pictures):,} validation pictures "
        "have a label that confident learning doubts, by the mean probabilities of the best "
        f"{models} completed models (Northcutt et al. 2021). Shown are at most {SHOWN} of each "
        f"label (one row each{which}), the most probable ones first. Below each picture: "
        "the suggested class with its probability.",
        draw=partial(draw, prepare(run, doubted), find_dataset(run).pixel_shape),
    )
