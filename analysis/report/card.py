"""The model card of a run's incumbent: what it is, how it was chosen, how well it does, its limits.

The sections follow Mitchell et al. 2019, "Model cards for model reporting". The card
says what a run does not know about its model.
"""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from analysis.classes.table import classes
from analysis.cost.latency_table import latency_table
from analysis.groups.annotations import has_annotated_groups
from analysis.groups.bias import reported
from analysis.rendering.render import to_markdown
from analysis.rendering.table import Table
from analysis.report.summary import found, unknown
from analysis.run.dataset import Dataset, DatasetLeftOutError, find_dataset
from analysis.run.run_data import RunData
from analysis.run.trials import incumbent
from analysis.selection.table import selection_table
from analysis.statistics.estimate import NotKnownError
from fairsweep.durable import write_text
from fairsweep.errors import UserError

NOT_KNOWN = "not known"
LICENCES = ("LICENSE", "LICENCE", "LICENSE.txt", "LICENCE.txt", "LICENSE.md")
"""Files in a dataset's folder that say under which licence it may be used."""


GROUPS = ("bias_groups", "bias_groups_before")
"""Tables of groups that the card has."""


def write_card(run: RunData, out: Path) -> None:
    """Write the card into a file.

    Raises:
        UserError: The folder of the file does not exist.
    """
    if not out.parent.is_dir():
        raise UserError(f"{out.parent} is not a folder; make it, or give --out another file")
    write_text(out, model_card(run))


def model_card(run: RunData) -> str:
    """Return the card as Markdown."""
    try:
        dataset: Dataset | None = find_dataset(run)
    except DatasetLeftOutError:
        dataset = None
    sections = {
        "Model": _model(run, dataset),
        "Data": _data(run, dataset),
        "How it was chosen": _listed(found(run)),
        "How well it does": _results(run),
        "Limits": _limits(dataset),
        "Not known": _listed(unknown(run)),
        "Origin": _origin(run),
    }
    parts = [f"## {title}\n\n{text.strip()}" for title, text in sections.items() if text]
    return "\n\n".join([f"# {incumbent(run)['name']}", *parts]) + "\n"


def _model(run: RunData, dataset: Dataset | None) -> str:
    best = incumbent(run)
    names = run.info.hyperparameters
    settings = best.reindex(names).dropna()
    return _facts(
        {
            "task": f"one of {len(run.info.classes)} classes for a picture: "
            + ", ".join(run.info.classes)
            if run.info.classes
            else NOT_KNOWN,
            "input": NOT_KNOWN if dataset is None else _input(dataset),
            "trainable parameters": _number(best["parameters"]),
            **_latency(run),
            "epochs": _number(best["epochs_trained"]),
            "hyperparameters": ", ".join(f"{name} {value}" for name, value in settings.items()),
        }
    )


def _latency(run: RunData) -> dict[str, str]:
    """Return size and latency of the incumbent's network, if they were measured."""
    try:
        frame = latency_table(run).frame.set_index("configuration_id")
        own = frame.loc[str(incumbent(run)["configuration_id"])]
    except (NotKnownError, KeyError):
        return {}
    return {
        "size": f"{own['weights_bytes'] / 1e6:.3g} MB of weights",
        "latency": f"{own['p50_1']:.3g} ms for one picture (95th percentile "
        f"{own['p95_1']:.3g} ms), {own['p50_64']:.3g} ms for 64 ({own['p95_64']:.3g} ms), on "
        f"{own['device']}, threads: {own['threads']}",
    }


def _input(dataset: Dataset) -> str:
    height, width = dataset.shape
    colour = "gray" if dataset.pixel_shape == dataset.shape else "colour"
    return f"{colour} pictures, {height} × {width} pixels"


def _data(run: RunData, dataset: Dataset | None) -> str:
    known = run.provenance.get("dataset") or {}
    facts = {
        "dataset": str(known.get("name") or NOT_KNOWN),
        "fingerprint": str(known.get("fingerprint") or NOT_KNOWN),
    }
    if dataset is not None:
        counts = {split: sum(own.values()) for split, own in dataset.counts.items()}
        manifest = dataset.manifest
        facts |= {
            "pictures": ", ".join(f"{count:,} {split}" for split, count in counts.items()),
            "labels": str(manifest["label_rule"]),
            "splits": str(manifest["split_method"]),
            "copies across splits": _number(manifest["duplicates"].get("across_splits")),
        }
    return _facts({**facts, "licence": NOT_KNOWN if dataset is None else _licence(dataset.path)})


def _licence(data: Path) -> str:
    """Return the first line of the licence that the user has put beside the dataset."""
    for name in LICENCES:
        try:
            lines = (data / name).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError):
            continue
        first = next((line.strip() for line in lines if line.strip()), "")
        if first:
            return f"{first} (from {name} in the dataset's folder)"
    return NOT_KNOWN


def _results(run: RunData) -> str:
    return "\n".join(_tables(run))


def _tables(run: RunData) -> Iterator[str]:
    for table in (selection_table, _classes):
        try:
            yield to_markdown(table(run))
        except NotKnownError as reason:
            yield f"Not known: {reason}.\n"
    bias = reported(run) if has_annotated_groups(run) else None
    if bias is not None:
        yield from (to_markdown(table) for table in bias.tables if table.name in GROUPS)


def _classes(run: RunData) -> Table:
    """Return the scores of the incumbent on each class."""
    table = classes(run)
    own = table.frame["trial_id"] == incumbent(run)["trial_id"]
    if not own.any():
        raise NotKnownError("the incumbent has no predictions")
    view = replace(table.views[0], columns=table.views[0].columns[2:])  # Without the model's name.
    return replace(table, frame=table.frame[own], views=(view,), notes=table.notes[:-1])


def _limits(dataset: Dataset | None) -> str:
    limits = [
        "Every picture gets one of the classes, also a picture that shows none of them.",
        "The probabilities are those of the network; they were not calibrated.",
    ]
    if dataset is not None:
        limits.append(
            "Training, validation and test pictures are all of this dataset. Pictures from other "
            "sources, cameras or people may be classified worse."
        )
    return _listed(limits)


def _origin(run: RunData) -> str:
    git, versions = (run.provenance.get(key) or {} for key in ("git", "versions"))
    return _facts(
        {
            "run": run.name,
            "trained": str(run.provenance.get("created") or NOT_KNOWN),
            "command": f"`{run.provenance.get('command') or NOT_KNOWN}`",
            "code": str(git.get("commit") or NOT_KNOWN),
            "versions": ", ".join(f"{n} {v}" for n, v in versions.items()) or NOT_KNOWN,
        }
    )


def _facts(facts: dict[str, str]) -> str:
    return "\n".join(f"- {name}: {value}" for name, value in facts.items())


def _listed(sentences: list[str]) -> str:
    return "\n".join(f"- {sentence}" for sentence in sentences)


def _number(value: object) -> str:
    return f"{int(value):,}" if isinstance(value, int | float | np.number) else NOT_KNOWN
