"""Terms that several tables and sentences use."""

from tune.run.trial import Status

INCUMBENT = "incumbent"
"""Verdict cell of the incumbent, which is not compared with itself."""
SCORES = {"recall": "recall", "precision": "precision", "f1": "F1"}
"""Column of a score → its heading, in the order of the FER2013 study's tables."""


def first_upper(text: str) -> str:
    """Return ``text`` with an upper-case first letter, for the start of a sentence."""
    return text[:1].upper() + text[1:]


def status_words(status: str) -> str:
    """Return a status as it reads in a sentence, such as ``stopped early``."""
    words = {Status.EARLY_STOPPED: "stopped early", Status.OVER_LIMIT: "over the limit"}
    return words.get(Status(status), status.lower())
