"""The time of a report of many trials, and of a pandas and matplotlib script on the same tables.

The script makes what a student would make: a table of all models, means by each hyperparameter, one
figure with all learning curves, and accuracy against each hyperparameter.
"""

import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from benchmarks.harness import Result, in_process, resident_bytes
from tests.support.big_run import write_big_run

TRIALS, EPOCHS = 5000, 100


def ours(run: str, out: str) -> dict[str, Any]:
    """Write the report: page, tables and figures."""
    from analysis.__main__ import main

    begun = time.perf_counter()
    main(["report", run, "--out", out])
    return _figures(begun, out)


def script(run: str, out: str) -> dict[str, Any]:
    """Write a table, means by five hyperparameters, and six figures."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt
    import pandas as pd

    mpl.use("agg")
    begun = time.perf_counter()
    trials = pd.read_parquet(Path(run) / "trials.parquet")
    measurements = pd.read_parquet(Path(run) / "measurements.parquet")
    folder = Path(out)
    folder.mkdir()
    trials.to_csv(folder / "models.csv")
    names = ["kernel_size", "blocks", "channels", "conv_depth", "learning_rate"]
    for name in names:
        means = trials.groupby(name)["best_val_accuracy"].agg(["mean", "max", "count"])
        means.to_csv(folder / f"by_{name}.csv")
        plt.figure()
        plt.scatter(trials[name], trials["best_val_accuracy"])
        plt.savefig(folder / f"by_{name}.png")
    plt.figure()
    for _, curve in measurements.groupby("trial_id"):
        plt.plot(curve["epoch"], curve["val_accuracy"])
    plt.savefig(folder / "curves.png")
    return _figures(begun, out)


def _figures(begun: float, out: str) -> dict[str, Any]:
    return {
        "seconds": time.perf_counter() - begun,
        "bytes": resident_bytes(),
        "files": sum(path.is_file() for path in Path(out).rglob("*")),
    }


def run() -> Iterator[Result]:
    """Measure both sides on a run of thousands of trials."""
    with tempfile.TemporaryDirectory() as folder:
        big = write_big_run(Path(folder) / "run", trials=TRIALS, epochs=EPOCHS)
        mine = in_process(ours, str(big), f"{folder}/report")
        other = in_process(script, str(big), f"{folder}/script")
    yield Result(
        name="report",
        unit=f"seconds for {TRIALS} trials of {EPOCHS} epochs",
        ours=mine["seconds"],
        others={"a script of pandas and matplotlib": other["seconds"]},
        smaller_is_better=True,
        details={
            "files made": {"ours": mine["files"], "the script": other["files"]},
            "memory in MB at the end": {
                "ours": round(mine["bytes"] / 1e6),
                "the script": round(other["bytes"] / 1e6),
            },
        },
    )
