"""The table of an ensemble of a run's best models: its members and its accuracy."""

from analysis.ensembles.statistics import Ensemble, ensemble
from analysis.rendering.digits import supported
from analysis.rendering.table import Column, Table, View
from analysis.run.clusters import n_notes
from analysis.run.run_data import RunData
from tune.run.ensemble import BEST, STEPS

WORDS = {
    "as chosen": "validation, as chosen",
    "corrected": "validation, corrected for choosing the ensemble",
    "test": "test",
}


def ensemble_table(run: RunData) -> Table:
    """Return a row per estimate of the ensemble's accuracy, most optimistic first.

    Frame: ``name`` (what the accuracy is measured on), ``n`` (pictures) and the other columns of
    `analysis.ensembles.statistics.ensemble`.

    Raises:
        NotKnownError: The run has no ensemble; the message says why.
    """
    found = ensemble(run)
    frame = found.frame.assign(name=found.frame["estimate"].map(WORDS))
    frame = frame[["name", "n", *frame.columns.drop(["name", "n"])]]
    accuracy = supported(frame, "accuracy_low", "accuracy_high")
    columns = (
        Column(key="name", heading="accuracy on"),
        Column(key="accuracy", heading="accuracy", text=accuracy),
        Column(
            key="accuracy_low", upper_key="accuracy_high", heading="95 % interval", text=accuracy
        ),
        Column(key="n", heading="n"),
    )
    size = len(found.members)
    title = f"What to expect of an ensemble of {size} model{'s' * (size != 1)}"
    view = View(title=title, columns=columns)
    return Table(name="ensemble", frame=frame, views=(view,), notes=_notes(run, found))


def _notes(run: RunData, found: Ensemble) -> tuple[str, ...]:
    return (
        *n_notes(run, "n: pictures of the split."),
        f"Members: {_members(run, found)}. The ensemble's class probabilities are the mean of "
        "theirs.",
        f"From the {BEST} best completed models, the one that helps most on validation is added up "
        f"to {STEPS} times (Caruana et al. 2004).",
        *([_gain_words(found)] if found.gain else []),
        *([_missing_words(found.missing)] if found.missing else []),
        *([] if run.imported else [_test_words(run, found)]),
    )


def _members(run: RunData, found: Ensemble) -> str:
    trials = run.trials.set_index("trial_id")[["name", "number"]].to_dict("index")
    return ", ".join(
        f"{trials[trial_id]['name']} (trial {trials[trial_id]['number']})"
        + f" {times} times" * (times > 1)
        for trial_id, times in found.members.items()
    )


def _gain_words(found: Ensemble) -> str:
    assert found.gain is not None
    value, low, high = (100 * figure for figure in found.gain)
    return (
        "The corrected accuracy chooses the ensemble anew on drawn pictures and judges it on the "
        f"others (Tsamardinos et al. 2018). There it is {value:+.1f} percentage points from the "
        f"best single model (95 % interval {low:+.1f} to {high:+.1f})."
    )


def _missing_words(missing: int) -> str:
    plural = missing != 1
    return (
        f"{missing} of the best completed trials {'have' if plural else 'has'} no predictions of "
        f"these pictures and {'are' if plural else 'is'} left out."
    )


def _test_words(run: RunData, found: Ensemble) -> str:
    if "test" in set(found.frame["estimate"]):
        openings = int(found.frame["openings"].max())
        return f"The test split was opened {openings} time{'s' * (openings != 1)}."
    if found.stale:
        return "The test split was opened for an ensemble of other members, before the run grew."
    return (
        "The test split was not opened for it; "
        f"`python -m tune test {run.shell_path} --ensemble` does."
    )
