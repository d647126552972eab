"""Warns where hyperparameters are compared too early to tell much."""

import numpy as np

from analysis.run.clusters import single_intervals
from analysis.run.run_data import RunData, read_confusion
from analysis.run.trials import accuracy_at_common_epoch, common_epoch, incumbent

EARLY = 0.5
"""A common epoch before this share of the longest training is early."""
MANY = 0.5
"""Share of trials at chance from which the comparison mostly shows noise."""


def early_warning(run: RunData) -> str:
    """Return sentences about an early common epoch, and about trials that are at chance there.

    A trial is at chance if the 95 % Wilson interval of its accuracy does not lie above the share of
    the largest validation class.

    Returns:
        An empty text if neither applies.
    """
    return " ".join(sentence for sentence in (_early(run), _at_chance(run)) if sentence)


def _early(run: RunData) -> str:
    epoch, longest = common_epoch(run), int(run.comparable["epochs_trained"].max())
    if epoch >= EARLY * longest:
        return ""
    return (
        f"The trials are compared after {epoch} of {longest} epochs, because some were stopped "
        "then. What is better so early need not be better in the end."
    )


def _at_chance(run: RunData) -> str:
    confusion = read_confusion(run, str(incumbent(run)["trial_id"]))
    if confusion is None or not run.metric.is_accuracy:
        return ""
    sizes = confusion.sum(axis=1)
    share = float(sizes.max() / sizes.sum())
    trials = accuracy_at_common_epoch(run)
    low = single_intervals(run, trials["accuracy_at_epoch"], trials)["accuracy_low"]
    count = int(np.sum(low.to_numpy(float) <= share))
    if count < MANY * len(trials):
        return ""
    return (
        f"{count:,} of {len(trials):,} trials are not shown to be better there than always "
        f"predicting the largest class, '{run.info.classes[int(sizes.argmax())]}' "
        f"({run.metric.text(share)}), so their differences are mostly chance."
    )
