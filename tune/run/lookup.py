"""Finds a trial of a run by its id, its number or its name in tables."""

from collections.abc import Iterable
from pathlib import Path

from fairsweep.command_line import shell_path
from tune.run.directory import RunError
from tune.run.trial import Trial

_MOST_SHOWN = 6
"""Maximum number of trials that a message lists."""


def find_trial(run: Path, trials: Iterable[Trial], asked: str) -> Trial:
    """Return the trial with the given id, number, or name.

    A name can include the seed and the fold, as in ``B8_N1_FC1_K3_AP8 seed 1``, because replicates
    share the name of their configuration.

    Args:
        run: The run directory, for messages.
        trials: The trials of the run.
        asked: The id, number or name.

    Raises:
        RunError: No trial matches, or more than one.
    """
    known = list(trials)
    for trial in known:
        if trial.id == asked:
            return trial
    text = " ".join(asked.split())
    found = [
        trial
        for trial in known
        if text in (str(trial.number), trial.name, f"{trial.name} {trial.draw}")
    ]
    if not found:
        raise RunError(
            f"{run} has no trial {asked}; "
            f"`python -m analysis table {shell_path(run)} --format json` lists the id, number and "
            "name of each"
        )
    if len(found) > 1:
        shown = ", ".join(f"{trial.number} ({trial.draw})" for trial in found[:_MOST_SHOWN])
        more = len(found) - _MOST_SHOWN
        raise RunError(
            f"{len(found)} trials of {run} are called {asked}: {shown}"
            f"{f' and {more} more' if more > 0 else ''}; give the number of one"
        )
    return found[0]
