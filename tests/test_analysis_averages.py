"""Which averages over classes a table of trials shows."""

import numpy as np
import pandas as pd

from analysis.classes.averages import REPEATED, repeated_notes, shown_averages


def test_an_average_is_shown_unless_all_its_scores_are_the_accuracy():
    scores = {"accuracy": [0.5, np.nan, 0.7], "macro_f1": [0.4, np.nan, 0.6]}
    same = {f"micro_{score}": scores["accuracy"] for score in ("recall", "precision", "f1")}
    frame = pd.DataFrame(scores | same)
    assert shown_averages(frame) == ["macro"]
    assert repeated_notes(frame) == (REPEATED,)
    for score in ("recall", "precision", "f1"):
        other = frame.assign(**{f"micro_{score}": [0.5, np.nan, 0.6999]})
        assert shown_averages(other) == ["macro", "micro"]
        assert repeated_notes(other) == ()
    unknown = frame.drop(columns=list(same))
    assert shown_averages(unknown) == ["macro"]
    assert repeated_notes(unknown) == ()
