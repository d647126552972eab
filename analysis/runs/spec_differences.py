"""The table of what differed between runs: spec, code, versions, machine."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd
import yaml

from analysis.rendering.table import MISSING, Column, Table, View
from analysis.run.run_data import RunData

_LEFT_OUT = ("name", "data", "signature", "channels_last")
"""Keys that say nothing about what was trained: the data are known by their fingerprint, own code
by its hash."""
_OF_PROVENANCE = ("git", "versions", "hardware", "command")


def differences_table(runs: Sequence[RunData], names: Sequence[str]) -> Table:
    """Return a row for each setting that differs between runs.

    Frame: ``setting`` (dotted path), and a column of text for each run.
    """
    known = [dict(_settings(run)) for run in runs]
    every = dict.fromkeys(key for settings in known for key in settings)
    rows = [
        {
            "setting": key,
            **{name: s.get(key, MISSING) for name, s in zip(names, known, strict=True)},
        }
        for key in every
        if len({settings.get(key, MISSING) for settings in known}) > 1
    ]
    columns = [Column(key=name, heading=name, text=str) for name in ("setting", *names)]
    return Table(
        name="differences",
        frame=pd.DataFrame(rows, columns=["setting", *names], dtype=object),
        views=(View(title="What differed", columns=tuple(columns)),),
        notes=("Settings that are equal in all runs are left out.",),
    )


def _settings(run: RunData) -> Iterator[tuple[str, str]]:
    spec = yaml.safe_load(run.spec) or {}
    yield from _flat(spec)
    provenance = {key: run.provenance[key] for key in _OF_PROVENANCE if key in run.provenance}
    yield from _flat(provenance)


def _flat(values: Mapping[Any, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for key, value in values.items():
        if isinstance(value, Mapping) and value:
            yield from _flat(value, f"{prefix}{key}.")
        elif key not in _LEFT_OUT:
            yield f"{prefix}{key}", str(value)
