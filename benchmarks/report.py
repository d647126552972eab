"""The time of a report, and of a pandas and matplotlib script on the same files.

The scripts make what a student would make. Of thousands of trials: a table of all models, means by
each hyperparameter, one figure with all learning curves, and accuracy against each hyperparameter.
Of four models of a hundred classes: scores by class, and a confusion matrix of each model. Of the
results of a thousand trials of Ray Tune: a table, means by each hyperparameter, and a figure.
"""

import itertools
import json
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.harness import Result, in_process, resident_bytes
from tests.support.big_run import write_big_run
from tests.support.many_classes import write_run_of_many_classes

TRIALS, EPOCHS = 5000, 100
CLASSES, PICTURES, MODELS = 100, 66_700, 4
"""Of the run with many classes; 15 % of the pictures, in colour, are its validation split."""
RAY_SPACE: dict[str, list[float]] = {
    "lr": [0.001, 0.003, 0.01, 0.03, 0.1],
    "width": [16, 32, 64, 128, 256],
    "layers": [1, 2, 3, 4],
}
RAY_SEEDS, RAY_EPOCHS = 10, 20
RAY_TRIALS = 1000
"""A seed of each configuration of ``RAY_SPACE``, ``RAY_SEEDS`` times."""
Side = Callable[[str, str], dict[str, Any]]


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


def script_of_classes(run: str, out: str) -> dict[str, Any]:
    """Write scores by class and a confusion matrix of each model."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt
    import numpy as np
    import pandas as pd
    from sklearn.metrics import classification_report, confusion_matrix

    mpl.use("agg")
    begun = time.perf_counter()
    folder = Path(out)
    folder.mkdir()
    for file in sorted(Path(run).glob("predictions/*.parquet")):
        predictions = pd.read_parquet(file)
        predicted = np.stack(predictions["probabilities"].to_list()).argmax(axis=1)
        scores = classification_report(predictions["label"], predicted, output_dict=True)
        pd.DataFrame(scores).T.to_csv(folder / f"{file.stem}.csv")
        plt.matshow(confusion_matrix(predictions["label"], predicted, normalize="true"))
        plt.savefig(folder / f"{file.stem}.png")
    return _figures(begun, out)


def _figures(begun: float, out: str) -> dict[str, Any]:
    page = Path(out) / "report.html"
    return {
        "seconds": time.perf_counter() - begun,
        "cpu_seconds": time.process_time(),
        "page_bytes": page.stat().st_size if page.is_file() else 0,
        "bytes": resident_bytes(),
        "files": sum(path.is_file() for path in Path(out).rglob("*")),
    }


def ours_of_ray(results: str, out: str) -> dict[str, Any]:
    """Import the results of Ray Tune and write the report."""
    from analysis.__main__ import main

    begun = time.perf_counter()
    main(["import", "ray", results, "--out", f"{out}-run"])
    main(["report", f"{out}-run", "--out", out])
    return _figures(begun, out)


def script_of_ray(results: str, out: str) -> dict[str, Any]:
    """Write a table, means by three hyperparameters, and a figure of all curves."""
    import matplotlib as mpl
    import matplotlib.pyplot as plt
    import pandas as pd

    mpl.use("agg")
    begun = time.perf_counter()
    folder = Path(out)
    folder.mkdir()
    last = []
    for file in sorted(Path(results).glob("*/result.json")):
        curve = pd.read_json(file, lines=True)
        plt.plot(curve["training_iteration"], curve["loss"])
        config = json.loads((file.parent / "params.json").read_text())
        last.append({**config, "loss": curve["loss"].min()})
    plt.savefig(folder / "curves.png")
    trials = pd.DataFrame(last)
    trials.to_csv(folder / "models.csv")
    for name in RAY_SPACE:
        trials.groupby(name)["loss"].agg(["mean", "min", "count"]).to_csv(folder / f"{name}.csv")
    return _figures(begun, out)


def write_ray_results(folder: Path) -> Path:
    """Write the files of a run of Ray Tune that its import reads, of seeds of a grid."""
    rng = np.random.default_rng(0)
    seeds: list[float] = list(range(RAY_SEEDS))
    space = {**RAY_SPACE, "seed": seeds}
    for number, values in enumerate(itertools.product(*space.values())):
        config = dict(zip(space, values, strict=True))
        place = folder / f"train_{number:05d}"
        place.mkdir(parents=True)
        (place / "params.json").write_text(json.dumps(config))
        level = 0.2 + 2 * config["lr"] + 1 / config["width"] + rng.normal(0, 0.01)
        rows = [
            {"loss": level * (1 + 3 / e), "training_iteration": e, "trial_id": f"{number:05d}"}
            | {"timestamp": 1_790_000_000 + 10 * e, "time_this_iter_s": 10.0, "config": config}
            for e in range(1, RAY_EPOCHS + 1)
        ]
        (place / "result.json").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def run() -> Iterator[Result]:
    """Measure both on a run of thousands of trials, of a hundred classes, and of Ray Tune."""
    with tempfile.TemporaryDirectory() as folder:
        big = write_big_run(Path(folder) / "run", trials=TRIALS, epochs=EPOCHS)
        unit = f"seconds for {TRIALS} trials of {EPOCHS} epochs"
        yield _compared("report", unit, str(big), folder, script)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        made = write_run_of_many_classes(
            place / "run", place / "data", classes=CLASSES, pictures=PICTURES, trials=MODELS
        )
        unit = f"seconds for {MODELS} models of {CLASSES} classes"
        yield _compared("report_classes", unit, str(made), folder, script_of_classes)
    yield imported()


def imported() -> Result:
    """Measure the import of a thousand trials of Ray Tune and their report."""
    with tempfile.TemporaryDirectory() as folder:
        made = str(write_ray_results(Path(folder) / "results"))
        unit = f"seconds from the results of {RAY_TRIALS} trials of {RAY_EPOCHS} epochs"
        return _compared("report_imported", unit, made, folder, script_of_ray, ours_of_ray)


def _compared(
    name: str,
    unit: str,
    run_path: str,
    folder: str,
    other: Side,
    own: Side = ours,
) -> Result:
    mine = in_process(own, run_path, f"{folder}/report")
    theirs = in_process(other, run_path, f"{folder}/script")
    return Result(
        name=name,
        unit=unit,
        ours=mine["seconds"],
        others={"a script of pandas and matplotlib": theirs["seconds"]},
        smaller_is_better=True,
        details={
            "seconds of CPU time": _both(mine, theirs, "cpu_seconds", 1),
            "files made": _both(mine, theirs, "files", 1),
            "memory in MB at the end": _both(mine, theirs, "bytes", 1e-6),
            "report.html in MB": round(mine["page_bytes"] / 1e6, 1),
            "load average while it was measured": round(os.getloadavg()[0]),
        },
    )


def _both(mine: dict[str, Any], theirs: dict[str, Any], key: str, scale: float) -> dict[str, Any]:
    return {"ours": round(scale * mine[key]), "the script": round(scale * theirs[key])}
