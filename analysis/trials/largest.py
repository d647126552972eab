"""Compares the incumbent with always predicting the largest class."""

from analysis.classes.scores import per_class
from analysis.run.clusters import effective_n
from analysis.run.run_data import RunData, read_confusion
from analysis.run.trials import incumbent
from analysis.statistics.intervals import wilson
from analysis.trials.headline import percent


def no_better_than_largest(run: RunData) -> str:
    """Warn if the incumbent may be no better than always predicting the largest class.

    Returns:
        A sentence; empty if the 95 % Wilson interval of the incumbent's accuracy lies above the
        share of the largest validation class, or if the incumbent has no predictions.
    """
    best = incumbent(run)
    confusion = read_confusion(run, str(best["trial_id"]))
    if confusion is None:
        return ""
    sizes, n = confusion.sum(axis=1), int(confusion.sum())
    accuracy, share = confusion.trace() / n, sizes.max() / n
    low, high = wilson(accuracy, float(effective_n(run, best.to_frame().T.assign(n=n)).iloc[0]))
    if low > share:
        return ""
    recall = per_class(confusion, run.info.classes)["recall"].mean()
    return (
        f"The incumbent is not shown to be better than always predicting "
        f"'{run.info.classes[int(sizes.argmax())]}', the largest class of validation "
        f"({percent(share)} of the pictures): its accuracy is {percent(accuracy)} (95 % interval "
        f"{percent(low)} to {percent(high)}) and its macro recall {percent(recall)}. Where classes "
        "differ in size, use `objective: {metric: val_macro_f1}` and the hyperparameter "
        "`balance: label`."
    )
