"""Words of tables and sentences, and the digits of a column."""

import numpy as np
import pandas as pd

from analysis.rendering.digits import supported, with_interval
from analysis.rendering.words import SCORES, first_upper, status_words
from tune.run.trial import Status


def test_a_status_reads_as_in_a_sentence():
    own_words = {Status.EARLY_STOPPED: "stopped early", Status.OVER_LIMIT: "over the limit"}
    for status in Status:
        assert status_words(str(status)) == own_words.get(status, status.value.lower())
    assert first_upper("n of FER2013") == "N of FER2013"
    assert first_upper("") == ""


def test_scores_are_in_the_order_of_the_study():
    assert list(SCORES) == ["recall", "precision", "f1"]


def test_the_decimals_of_a_column_are_those_of_its_median_interval():
    # Half-widths of 1.96 standard errors of 0.02, 0.05 and 0.4.
    reach = 1.96 * np.array([0.02, 0.05, 0.4])
    frame = pd.DataFrame({"f1": 0.5, "f1_low": 0.5 - reach, "f1_high": 0.5 + reach})
    assert supported(frame, "f1_low", "f1_high")(0.123456) == "0.12"
    score, interval = with_interval(frame, "f1")
    assert (score.key, interval.key, interval.upper_key) == ("f1", "f1_low", "f1_high")
    assert score.text(0.987) == "0.99"
