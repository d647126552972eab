"""Tables of whole learning curves: written from a run of `benchmarks/curves.yaml`, and as tasks.

`python -m benchmarks.curves_table RUN --out FILE` writes one; `benchmarks.search` reads it. A row
is an epoch of a training: the searched hyperparameters, ``seed``, ``epoch``, ``seconds`` and the
accuracies of both halves of the judging pictures, ``validation`` and ``test``.
"""

import argparse
import json
import sys
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from analysis.run.run_data import read_run
from benchmarks.search_curves import Curve
from fairsweep.errors import UserError

FOLDER = Path(__file__).parent / "curves"
"""Where the tables are that come with the benchmarks; the name of a file is that of a task."""
_CARRIERS = ("channels", "blocks", "conv_depth", "fc_layers", "fc_width")
"""Our whole-numbered hyperparameters whose bounds hold places in a grid."""
_FACTS = ["seed", "epoch", "seconds", "validation", "test"]


def table_of(run: Path) -> pd.DataFrame:
    """Return the curves of a finished run.

    An epoch of a network takes the same time with any learning rate, weight decay and seed, so
    ``seconds`` is the shortest time of any epoch of the networks of a size, which other programs
    disturbed least.

    Raises:
        UserError: A trial has not been trained to its end.
    """
    known = read_run(run)
    trials = known.trials
    short = trials[trials["status"] != "COMPLETED"]
    if len(short):
        raise UserError(
            f"{len(short):,} trials of {run} are not complete, such as {short['name'].iloc[0]}; "
            "finish the run with `python -m tune resume`"
        )
    searched = list(known.info.searched)
    curves = known.measurements.merge(trials[["trial_id", "seed", *searched]], on="trial_id")
    curves = curves.rename(columns={"val_accuracy": "validation", "counted_accuracy": "test"})
    costs = [name for name in searched if name not in ("learning_rate", "weight_decay")]
    curves["seconds"] = curves.groupby(costs)["seconds"].transform("min")
    frame = curves[[*searched, *_FACTS]].sort_values([*searched, "seed", "epoch"])
    return frame.astype(dict.fromkeys(_FACTS[2:], "float32")).reset_index(drop=True)


class TableTask:
    """A task (see `Task`): a grid whose curves are all known.

    Searchers see each hyperparameter as the place of its value in the grid, a whole number from 1.
    A configuration's value on ``test`` is the mean over its seeds, its validation values are those
    of the first seed.
    """

    samples = 200

    def __init__(self, path: Path) -> None:
        """Read the table at ``path``."""
        table = pd.read_parquet(path)
        names = [name for name in table.columns if name not in _FACTS]
        values = {name: sorted(table[name].unique()) for name in names}
        self.carriers: Mapping[str, str] = dict(zip(names, _CARRIERS, strict=False))
        self.name = path.stem
        self.epochs = int(table["epoch"].max())
        self.space: dict[str, dict[str, Any]] = {
            name: {"low": 1, "high": len(known), "integer": True} for name, known in values.items()
        }
        for name, known in values.items():
            table[name] = table[name].map({value: place for place, value in enumerate(known, 1)})
        means = table.groupby([*names, "epoch"])["test"].mean()
        first = table[table["seed"] == table["seed"].min()].set_index([*names, "epoch"])
        first = first.assign(test=means).sort_index()
        sizes = [len(known) for known in values.values()]
        shape = (*sizes, self.epochs)
        if len(first) != np.prod(shape):
            raise UserError(f"{path} lacks {np.prod(shape) - len(first):,} of its grid's epochs")
        self._curves = {
            column: first[column].to_numpy(float).reshape(shape)
            for column in ("seconds", "validation", "test")
        }

    def curve(self, config: Mapping[str, Any]) -> Curve:
        """Return the training of a configuration; the same each time."""
        place = tuple(int(config[name]) - 1 for name in self.space)
        return Curve(**{column: values[place] for column, values in self._curves.items()})

    @cached_property
    def mean_seconds(self) -> float:
        """Seconds of the complete training of a random configuration, on average."""
        return float(self._curves["seconds"].sum(axis=-1).mean())

    @cached_property
    def best(self) -> float:
        """The best value on the test half in the grid, at any epoch."""
        return float(self._curves["test"].max())

    def random(self, rng: np.random.Generator) -> dict[str, float]:
        """Draw a configuration."""
        return {name: int(rng.integers(1, about["high"] + 1)) for name, about in self.space.items()}


def main() -> int:
    """Write the table of a run; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.curves_table",
        description="Write the learning curves of a run of benchmarks/curves.yaml.",
        epilog="example: python -m benchmarks.curves_table runs/curves-fer2013 "
        "--out benchmarks/curves/fer2013.parquet",
    )
    parser.add_argument("run", type=Path, metavar="RUN", help="a finished run")
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="a Parquet file")
    parsed = parser.parse_args()
    try:
        table = table_of(parsed.run)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.exit_code
    parsed.out.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(parsed.out, compression="zstd", index=False)
    counts = table.drop(columns=_FACTS).drop_duplicates()
    print(json.dumps({"configurations": len(counts), "rows": len(table), "file": str(parsed.out)}))
    return 0


if __name__ == "__main__":
    sys.exit(main())
