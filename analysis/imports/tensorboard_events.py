"""Reads event files of TensorBoard: scalars, and the hyperparameters of its plugin hparams."""

import math
from collections import Counter
from pathlib import Path
from typing import Any

from analysis.imports.found import Found, FoundTrial
from fairsweep.errors import MissingFileError, UserError
from tune.run.trial import Status

_SESSION = "_hparams_/session_start_info"
"""Tag of the record that holds the hyperparameters."""
FOLDER = "folder"
"""Hyperparameter that stands for the configuration where no hyperparameters were recorded."""


def read_tensorboard(folder: Path) -> Found:
    """Read a trial from each folder with event files; steps are epochs.

    Where a folder inside another one holds the hyperparameters, as PyTorch's ``add_hparams`` writes
    them, both are one trial.

    Raises:
        MissingFileError: The folder does not exist.
        UserError: It holds no event file, or tensorboard is not installed.
    """
    if not folder.is_dir():
        raise MissingFileError(
            f"{folder} is not a folder; give one with event files of TensorBoard"
        )
    places = sorted({path.parent for path in folder.rglob("*tfevents*")})
    if not places:
        raise UserError(f"{folder} holds no event file of TensorBoard (*tfevents*)")
    read = {place: _read(place) for place in places}
    inner = Counter(place.parent for place in places if read[place][1] and place.parent in read)
    parents = {
        place: place.parent for place in places if inner[place.parent] == 1 and read[place][1]
    }
    alone = [place for place in places if place not in parents.values()]
    known = any(values for _, values in read.values())
    trials = []
    for place in alone:
        scalars, values = read[place]
        if place in parents:
            scalars = _joined(read[parents[place]][0], scalars)
        label = str(parents.get(place, place).relative_to(folder))
        trials.append(
            FoundTrial(
                label=label,
                values=values if known else {FOLDER: label},
                measurements={step: dict(found) for step, found in scalars.items()},
                status=Status.COMPLETED,
            )
        )
    note = "No hyperparameters are recorded, so the folder's name stands for the configuration."
    return Found(
        tool="TensorBoard",
        source=str(folder),
        trials=tuple(trials),
        names_stops=False,
        notes=() if known else (note,),
    )


Scalars = dict[int, dict[str, float]]


def _read(place: Path) -> tuple[Scalars, dict[str, Any]]:
    """Return step → tag → value, and the hyperparameters."""
    try:
        from tensorboard.backend.event_processing.event_accumulator import (
            SCALARS,
            TENSORS,
            EventAccumulator,
        )
        from tensorboard.util import tensor_util
    except ImportError as error:
        raise UserError(
            "tensorboard is needed to read its files; install it with `pip install "
            '"fairsweep[loggers]"`'
        ) from error
    events = EventAccumulator(str(place), size_guidance={SCALARS: 0, TENSORS: 0})
    events.Reload()
    scalars: Scalars = {}
    for tag in events.Tags()[SCALARS]:
        for event in events.Scalars(tag):
            scalars.setdefault(event.step, {})[tag] = event.value
    for tag in events.Tags()[TENSORS]:
        for event in events.Tensors(tag):
            value = tensor_util.make_ndarray(event.tensor_proto)
            if value.shape == () and value.dtype.kind == "f":
                scalars.setdefault(event.step, {})[tag] = float(value)
    return scalars, _hyperparameters(events)


def _hyperparameters(events: Any) -> dict[str, Any]:
    from tensorboard.plugins.hparams import plugin_data_pb2

    metadata = events.summary_metadata.get(_SESSION)
    if metadata is None:
        return {}
    data = plugin_data_pb2.HParamsPluginData.FromString(metadata.plugin_data.content)
    found = data.session_start_info.hparams
    return {name: _plain(getattr(v, v.WhichOneof("kind"))) for name, v in found.items()}


def _plain(value: Any) -> Any:
    """Return whole numbers as integers, as the format knows only floats."""
    whole = isinstance(value, float) and math.isfinite(value) and value == int(value)
    return int(value) if whole else value


def _joined(outer: Scalars, inner: Scalars) -> Scalars:
    """Add the scalars of the inner folder, which `add_hparams` repeats at step 0, where new."""
    known = {tag for values in outer.values() for tag in values}
    joined = {step: dict(values) for step, values in outer.items()}
    for step, values in inner.items():
        new = {tag: value for tag, value in values.items() if tag not in known}
        if new:
            joined.setdefault(max(outer, default=step), {}).update(new)
    return joined
