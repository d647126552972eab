"""Results as if another tool had made them: a grid of rates and widths with a loss per epoch."""

from pathlib import Path

import numpy as np

from analysis.imports.choices import Choices
from analysis.imports.found import Found, FoundTrial
from analysis.imports.writing import write_run
from tune.run.trial import Status

RATES, WIDTHS = (0.001, 0.01, 0.1), (8, 16)


def found_trials(
    *,
    metric: str = "rmse",
    replicates: int = 3,
    epochs: int = 4,
    scale: float = 30.0,
    configurations: int = 6,
    seconds: bool = False,
    folds: int = 0,
    seed: int = 0,
) -> tuple[FoundTrial, ...]:
    """Return trials whose metric depends on rate and width, falling from epoch to epoch."""
    rng = np.random.default_rng(seed)
    points = [(rate, width) for rate in RATES for width in WIDTHS][:configurations]
    trials = []
    for rate, width in points:
        for draw in range(folds or replicates):
            level = scale * (0.3 + 2 * rate + 0.4 / width + rng.normal(0, 0.01))
            curve = {e: {metric: level * (1 + 1 / e)} for e in range(1, epochs + 1)}
            fold = {"facts": {"fold": draw}} if folds else {}
            trials.append(
                FoundTrial(
                    label=f"{rate} {width} {draw}",
                    values={"rate": rate, "width": width, "seed": 3 if folds else 5 + draw},
                    measurements=curve,
                    status=Status.COMPLETED,
                    seconds=dict.fromkeys(curve, 2.0) if seconds else {},
                    **fold,
                )
            )
    return tuple(trials)


def write_found(
    out: Path, trials: tuple[FoundTrial, ...], choices: Choices | None = None, **about
) -> Path:
    """Write the trials as a run directory."""
    found = Found(tool="a test", source="nowhere", trials=trials, **about)
    return write_run(found, out, choices or Choices()).run
