"""Words that several tables and sentences share."""

from tune.run.trial import Status

INCUMBENT = "incumbent"
"""What stands in the place of a verdict for the incumbent itself."""
SCORES = {"recall": "recall", "precision": "precision", "f1": "F1"}
"""Column of a score → its heading, in the study's order."""


def status_words(status: str) -> str:
    """Write a status as a word in a sentence: ``stopped early``."""
    return {Status.EARLY_STOPPED: "stopped early"}.get(Status(status), status.lower())
