"""A trial as Syne Tune starts it: a script in its own process."""

import argparse
import sys
from pathlib import Path

# A script's folder comes first on its path, and `benchmarks/` has a module named `data_prep`.
sys.path[0] = str(Path(__file__).parent.parent)

from syne_tune import Reporter  # noqa: E402

from benchmarks.sweep import trial  # noqa: E402

if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--channels", type=int, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--data", required=True)
    parsed, _ = parser.parse_known_args()  # Syne Tune adds an option for checkpoints.
    report = Reporter()
    chosen = {"channels": parsed.channels, "seed": parsed.seed}
    for epoch, accuracy in enumerate(trial(parsed.data, chosen, threads=1), start=1):
        report(epoch=epoch, accuracy=accuracy)
