import numpy as np
import pytest
from sklearn.metrics import accuracy_score, precision_recall_fscore_support
from sklearn.metrics import confusion_matrix as sklearn_confusion_matrix

from models.metrics import classification_metrics, confusion_matrix


@pytest.mark.parametrize(
    "case",
    ["all classes", "one never predicted", "one never a label", "one absent", "one wrong"],
)
def test_metrics_equal_scikit_learn_s(case):
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 4, 200), rng.integers(0, 4, 200)
    if case == "one never predicted":
        predicted[predicted == 2] = 0
    if case == "one never a label":
        labels[labels == 2] = 0
    if case == "one absent":
        labels, predicted = labels % 3, predicted % 3
    if case == "one wrong":
        labels, predicted = np.array([1]), np.array([3])
    confusion = confusion_matrix(labels, predicted, 4)
    assert np.array_equal(confusion, sklearn_confusion_matrix(labels, predicted, labels=range(4)))
    expected = {"accuracy": accuracy_score(labels, predicted)}
    for average in ("macro", "micro"):
        scores = precision_recall_fscore_support(
            labels, predicted, average=average, zero_division=0
        )[:3]
        names = (f"{average}_{name}" for name in ("precision", "recall", "f1"))
        expected |= dict(zip(names, scores, strict=True))
    # The last digit may differ: the sums are formed in another order.
    assert classification_metrics(confusion) == pytest.approx(expected, rel=1e-14)
