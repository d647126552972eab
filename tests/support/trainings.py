"""Trainings with given accuracies."""

import numpy as np
import pandas as pd

from analysis.statistics.trainings import Trainings


def trainings_of(groups, correct=None):
    names = np.repeat(list(groups), [len(values) for values in groups.values()])
    index = [f"t{number}" for number in range(len(names))]
    return Trainings(
        configuration=pd.Series(names, index=index),
        accuracy=pd.Series(np.concatenate(list(groups.values())), index=index),
        correct=None if correct is None else pd.DataFrame(correct, index=index),
    )
