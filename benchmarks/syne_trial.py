"""A trial as Syne Tune starts it: a script in its own process, which gets values as options."""

import argparse
import sys
from pathlib import Path

import yaml

# A script's folder comes first on its path, and `benchmarks/` has a module named `data_prep`.
sys.path[0] = str(Path(__file__).parent.parent)

from syne_tune import Reporter  # noqa: E402

from benchmarks.other_tools import trial  # noqa: E402
from models.config import FIELDS  # noqa: E402

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--data", required=True)
    for name in FIELDS:
        parser.add_argument(f"--{name}", type=yaml.safe_load)
    parsed, _ = parser.parse_known_args()  # Syne Tune adds an option for checkpoints.
    values = {name: given for name in FIELDS if (given := getattr(parsed, name)) is not None}
    report = Reporter()
    accuracies = trial(parsed.data, values, epochs=values["epochs"], threads=1)
    for epoch, accuracy in enumerate(accuracies, start=1):
        report(epoch=epoch, accuracy=accuracy)
