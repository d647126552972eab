"""The table of validation pictures that all models get wrong, or whose labels may be wrong."""

import numpy as np

from analysis.dataset.suspects import judged
from analysis.rendering.table import Column, Table, View
from analysis.run.run_data import RunData

MOST_ROWS = 200
"""Maximum number of pictures."""


def suspects_table(run: RunData) -> Table:
    """Return the pictures that all of the best models get wrong, or whose label is suspected.

    Frame, the most suspect first (suspected, then by how much more probable the suggested class
    is): ``name`` (image id), ``label``, ``suggested`` (class names), ``probability`` (of the
    suggested class), ``own`` (of the label), ``wrong`` (models that are wrong), ``suspected``
    (whether confident learning doubts the label), ``n`` (models that judge it).

    Raises:
        NotKnownError: No completed trial has the probabilities of all classes, or the trials were
            judged on different pictures.
    """
    pictures, models = judged(run)
    chosen = pictures[pictures["suspected"] | (pictures["wrong"] == models)]
    apart = (chosen["probability"] - chosen["own"]).rename("apart")
    order = chosen.assign(apart=apart).sort_values(
        ["suspected", "apart", "image_id"], ascending=[False, False, True]
    )
    names = np.array(run.info.classes, dtype=object)
    frame = order.drop(columns="apart").head(MOST_ROWS).rename(columns={"image_id": "name"})
    frame = frame.assign(
        label=names[frame["label"].to_numpy(int)],
        suggested=names[frame["suggested"].to_numpy(int)],
        n=models,
    ).reset_index(drop=True)
    columns = (
        Column(key="name", heading="picture"),
        Column(key="label", heading="label"),
        Column(key="suggested", heading="suggested"),
        Column(key="probability", heading="its probability"),
        Column(key="own", heading="that of the label"),
        Column(key="wrong", heading="models wrong"),
        Column(key="n", heading="n"),
        Column(key="suspected", heading="label suspected", text=lambda yes: "yes" if yes else "no"),
    )
    view = View(title="Pictures that all models get wrong, and suspected labels", columns=columns)
    missed, doubted = int((pictures["wrong"] == models).sum()), int(pictures["suspected"].sum())
    notes = (
        "n: completed models, the best ones, whose predictions of the picture are compared.",
        f"Of {len(pictures):,} validation pictures, all of the best {models} completed models get "
        f"{missed:,} wrong; {doubted:,} labels are suspected; the {len(frame):,} most suspect are "
        "shown.",
        "Suspected: the mean probability of another class reaches what is usual for pictures of "
        "that class (confident learning, Northcutt et al. 2021). This is a list to look at, not a "
        "verdict: a weak model suspects right labels too.",
    )
    return Table(name="suspects", frame=frame, views=(view,), notes=notes)
