"""The picture of how much better ours is than each peer: `python -m benchmarks.peers_figure`.

It is drawn from the newest results in `benchmarks/results/` into `docs/peers.png`.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
from matplotlib.figure import Figure

from benchmarks.harness import RESULTS
from benchmarks.rounds import EACH, INTERVALS

PANELS = {
    "train": "training, pictures a second",
    "sweep": "eight trials, to the end",
    "real_search": "search with real training, to one accuracy",
    "search_4_workers": "search (LCBench), to one regret",
}
OUT = Path(__file__).parent.parent / "docs" / "peers.png"


def newest(folder: Path, name: str) -> dict[str, Any] | None:
    """Return the newest result with this name, of a day the one of most rounds; None without."""
    dated = [json.loads(path.read_text("utf-8")) for path in folder.glob(f"{name}-*.json")]
    return max(
        (result for result in dated if result["name"] == name),
        key=lambda result: (str(result["date"]), result.get("details", {}).get("rounds", 1)),
        default=None,
    )


def draw(results: Sequence[Mapping[str, Any]]) -> Figure:
    """Draw a panel for each result: for each other side a point, its rounds and an interval.

    Args:
        results: As in the files; a result of one round has neither rounds nor intervals.
    """
    sizes = [len(result["ratios"]) for result in results]
    figure, panels = plt.subplots(
        len(results),
        figsize=(7.5, 0.9 * len(results) + 0.28 * sum(sizes)),
        height_ratios=sizes,
        sharex=True,
        squeeze=False,
        layout="constrained",
    )
    for axes, result in zip(panels[:, 0], results, strict=True):
        known, rounds = (result["details"].get(detail, {}) for detail in (INTERVALS, EACH))
        names = sorted(result["ratios"], key=result["ratios"].__getitem__)
        for place, name in enumerate(names):
            ratio = result["ratios"][name]
            low, high = known.get(name, (ratio, ratio))
            axes.plot([low, high], [place, place], color="tab:blue", linewidth=2)
            axes.plot(ratio, place, "o", color="tab:blue")
            each = rounds.get(name, [])
            axes.plot(each, [place] * len(each), ".", color="tab:orange", markersize=4)
        axes.axvline(1.0, color="gray", linestyle="--", linewidth=1)
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(-0.6, len(names) - 0.4)
        axes.set_title(
            f"{PANELS[result['name']]} ({result['date']})", loc="left", fontsize="medium"
        )
    axes = panels[-1, 0]
    axes.set_xscale("log")
    axes.set_xticks([0.5, 1, 2, 4], ["0.5", "1", "2", "4"])
    axes.minorticks_off()
    axes.set_xlabel("ours is better by this factor (small dots: rounds; lines: 95 % intervals)")
    return figure


def main(arguments: list[str] | None = None) -> int:
    """Draw the newest result of each panel; return the exit code."""
    argparse.ArgumentParser(
        prog="python -m benchmarks.peers_figure",
        description=f"Draw the newest results of {', '.join(PANELS)} into {OUT.name}.",
        epilog="example: python -m benchmarks.peers_figure",
    ).parse_args(arguments)
    results = [found for name in PANELS if (found := newest(RESULTS, name)) is not None]
    draw(results).savefig(OUT, dpi=110)
    print(f"drawn in {OUT.name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
