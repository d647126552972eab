"""Tables by group of pictures: metrics, differences, classes, and changes by a retraining."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pandas as pd

from analysis.classes.scores import class_effects, per_class
from analysis.groups.statistics import (
    COMPARED,
    SMALL,
    changes,
    clusters_in,
    confusion,
    crossings,
    differences,
    scores,
)
from analysis.rendering.digits import signed, supported, with_interval
from analysis.rendering.table import AVERAGE, Column, Table, View, number_text
from analysis.rendering.words import SCORES

_KEYS = ("attribute", "group")


def group_tables(
    answers: pd.DataFrame,
    before: pd.DataFrame | None,
    groups: pd.DataFrame,
    classes: Sequence[str],
    notes: tuple[str, ...],
) -> list[Table]:
    """Return all tables of a model's predictions by group.

    - ``groups``, ``groups_before``: the metrics, a row per group, and an `AVERAGE` of the groups
      of each attribute.
    - ``crossed``: the metrics, a row per combination of two attributes' groups.
    - ``differences``: a row per pair of groups of an attribute, and metric.
    - ``classes``: a row per group and class; ``share_of_class`` is the share of the class's
      pictures that are in the group.
    - ``change``: a row per group; ``others_*`` are for the other groups of its attribute.
    """
    after = answers if before is None else answers.loc[before.index]
    kept = groups.loc[after.index]
    made = [_scored("groups", "Groups" if before is None else "Groups, after", answers, groups)]
    if before is not None:
        made.insert(0, _scored("groups_before", "Groups, before", before, kept))
        made.append(_change(before, after, kept, len(classes)))
    made.append(_differences(answers, groups, len(classes)))
    if len(groups.columns) > 1:
        made.append(_crossed(answers, groups))
    made.append(_classes(answers, groups, classes))
    small = (
        f"small: fewer than {SMALL} pictures. 95 % intervals: Wilson for accuracies, Newcombe for "
        "their differences between groups, bootstrap over pictures for all else (missing where all "
        "draws are equal). Macro averages: over the classes of which the group has pictures."
    )
    return [
        Table(name=f"bias_{t.name}", frame=t.frame, views=t.views, notes=(*notes, small, *t.notes))
        for t in made
    ]


def _scored(name: str, title: str, answers: pd.DataFrame, groups: pd.DataFrame) -> Table:
    parts = []
    for attribute in map(str, groups):
        rows = scores(answers, groups[[attribute]]).rename_axis("group").reset_index()
        average = rows.drop(columns=["group", "n", "accuracy_low", "accuracy_high"]).mean()
        last = pd.DataFrame([{"group": AVERAGE, **average, "n": rows["n"].sum()}])
        parts.append(pd.concat([rows, last]).assign(attribute=attribute))
    note = ("average: mean of an attribute's groups, each counted once.",)
    return _metrics_table(name, title, _marked(pd.concat(parts, ignore_index=True)), note)


def _crossed(answers: pd.DataFrame, groups: pd.DataFrame) -> Table:
    parts = []
    for pair in crossings(list(map(str, groups))):
        rows = scores(answers, groups[list(pair)])
        names = [", ".join(map(str, index)) for index in rows.index]
        parts.append(rows.assign(group=names, attribute=", ".join(pair)).reset_index(drop=True))
    frame = _marked(pd.concat(parts, ignore_index=True))
    return _metrics_table("crossed", "Every combination of two groups", frame, ())


def _metrics_table(name: str, title: str, frame: pd.DataFrame, notes: tuple[str, ...]) -> Table:
    metrics = {
        f"{average}_{score}": f"{word}, {average}"
        for score, word in sorted(SCORES.items(), key=lambda one: "prf".index(one[0][0]))
        for average in ("macro", "micro")
    }
    text = supported(frame, "accuracy_low", "accuracy_high")
    columns = (
        *_heads(),
        Column(key="accuracy", heading="accuracy", text=text),
        Column(key="accuracy_low", upper_key="accuracy_high", heading="95 %", text=text),
        *(Column(key=key, heading=heading, text=text) for key, heading in metrics.items()),
        *_tail(),
    )
    keys = [*_KEYS, "accuracy", "accuracy_low", "accuracy_high", *metrics, "n", "small"]
    return Table(
        name=name, frame=frame[keys], views=(View(title=title, columns=columns),), notes=notes
    )


def _differences(answers: pd.DataFrame, groups: pd.DataFrame, classes: int) -> Table:
    parts = [
        differences(answers, groups[name].dropna(), classes).assign(attribute=name)
        for name in map(str, groups)
    ]
    frame = pd.concat(parts, ignore_index=True)
    frame["small"] = _small(frame[["n_first", "n_second"]].min(axis=1))
    frame = frame[["attribute", *frame.columns.drop("attribute")]]
    ends = ("difference_low", "difference_high")
    text, ratio = supported(frame, *ends), supported(frame, "ratio_low", "ratio_high")
    columns = (
        Column(key="attribute", heading="attribute"),
        Column(key="first", heading="group"),
        Column(key="second", heading="against"),
        Column(key="metric", heading="metric", text=_words),
        Column(key="difference", heading="difference", text=signed(text)),
        Column(key=ends[0], upper_key=ends[1], heading="95 %", text=signed(text)),
        Column(key="ratio", heading="ratio", text=ratio),
        Column(key="ratio_low", upper_key="ratio_high", heading="ratio, 95 %", text=ratio),
        Column(key="n_first", heading="n"),
        Column(key="n_second", heading="n against"),
        Column(key="small", heading=""),
    )
    notes = (f"{len(frame) // len(COMPARED)} pairs: each interval holds only for its own pair.",)
    view = View(title="Differences and ratios between groups", columns=columns)
    return Table(name="differences", frame=frame, views=(view,), notes=notes)


def _classes(answers: pd.DataFrame, groups: pd.DataFrame, classes: Sequence[str]) -> Table:
    parts = []
    for attribute in map(str, groups):
        own = groups[attribute].dropna()
        totals = answers.loc[own.index, "label"].value_counts().reindex(range(len(classes)))
        for group, rows in answers.groupby(own):
            effects = class_effects(rows, clusters_in(rows), len(classes))
            part = per_class(confusion(rows, len(classes)), classes, effects)
            share = part["n"] / totals.to_numpy()
            parts.append(part.assign(attribute=attribute, group=group, share_of_class=share))
    frame = _marked(pd.concat(parts, ignore_index=True))

    columns = (
        *_heads(),
        Column(key="class", heading="class"),
        Column(key="share_of_class", heading="share of class"),
        *with_interval(frame, "precision"),
        *with_interval(frame, "recall"),
        Column(key="f1", heading="F1", text=supported(frame, "recall_low", "recall_high")),
        *_tail(),
    )
    view = View(title="Each class by group, and the groups of each class", columns=columns)
    notes = (
        "share of class: of the pictures of the class, those in the group. Intervals of precision "
        "and recall: Wilson.",
    )
    return Table(name="classes", frame=frame, views=(view,), notes=notes)


def _change(before: pd.DataFrame, after: pd.DataFrame, groups: pd.DataFrame, classes: int) -> Table:
    rows = [{"attribute": "all", "group": "all", **changes(before, after, classes)}]
    rows += _changed(before, after, groups, classes)
    frame = _marked(pd.DataFrame(rows))
    columns = (*_heads(), *_changed_columns(frame), *_tail())
    notes = (
        "change: after minus before on the same pictures, drawn in pairs; others: the change for "
        "all other groups of the attribute, which the retraining may have cost accuracy.",
        "The intervals of changes are for these two trainings on other pictures; they do not cover "
        "another seed. A retraining without factors is the control: it shows the effect of more "
        "training alone.",
    )
    view = View(title="Before and after", columns=columns)
    return Table(name="change", frame=frame, views=(view,), notes=notes)


def _changed(
    before: pd.DataFrame, after: pd.DataFrame, groups: pd.DataFrame, classes: int
) -> Iterator[dict[str, object]]:
    for attribute in map(str, groups):
        own = groups[attribute].dropna()
        for group in own.cat.categories[own.cat.categories.isin(own)]:
            inside, outside = own.index[own == group], own.index[own != group]
            found: dict[str, object] = {"attribute": attribute, "group": group}
            found |= changes(before.loc[inside], after.loc[inside], classes)
            if len(outside):
                others = changes(before.loc[outside], after.loc[outside], classes)
                found |= {f"others_{key}": value for key, value in others.items()}
            yield found


def _changed_columns(frame: pd.DataFrame) -> Iterator[Column]:
    text = supported(frame, "accuracy_change_low", "accuracy_change_high")
    for key, word in (("accuracy", "accuracy"), ("macro_f1", "macro F1")):
        yield Column(key=f"{key}_before", heading=f"{word} before", text=text)
        yield (
            Column(key=f"{key}_after", heading="after", text=text)
            if key == "accuracy"
            else (Column(key=f"{key}_after", heading="F1 after", text=text))
        )
        yield from _with_interval(f"{key}_change", f"{word} change", text)
    if "others_n" in frame:
        yield from _with_interval("others_accuracy_change", "others: accuracy change", text)


def _with_interval(key: str, heading: str, text: Callable[[Any], str]) -> Iterator[Column]:
    write = signed(text)
    yield Column(key=key, heading=heading, text=write)
    yield Column(key=f"{key}_low", upper_key=f"{key}_high", heading=f"{heading}, 95 %", text=write)


def _marked(frame: pd.DataFrame) -> pd.DataFrame:
    """Move attribute and group to the front, and mark small groups."""
    frame = frame.assign(n=frame["n"].astype(int), small=_small(frame["n"]))
    return frame[[*_KEYS, *frame.columns.drop(list(_KEYS))]]


def _small(n: "pd.Series[int]") -> "pd.Series[str]":
    return (n < SMALL).map({True: "small", False: ""})


def _words(metric: object) -> str:
    return str(metric).replace("_", " ").replace("f1", "F1")


def _heads() -> tuple[Column, Column]:
    return Column(key="attribute", heading="attribute"), Column(key="group", heading="group")


def _tail() -> tuple[Column, Column]:
    return (
        Column(key="n", heading="n", text=number_text),
        Column(key="small", heading=""),
    )
