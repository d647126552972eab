"""Clusters of dependent pictures, such as near-copies or pictures of one person."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy import sparse

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, eq=False)
class Clusters:
    """The clusters of n pictures; made by `clusters_of` or `singles`."""

    of: npt.NDArray[np.int64]
    """(n,) number of each picture's cluster, from 0 in order of first appearance."""

    @cached_property
    def sizes(self) -> npt.NDArray[np.int64]:
        """(G,) number of pictures in each cluster."""
        return np.bincount(self.of).astype(np.int64)

    @property
    def all_single(self) -> bool:
        """Whether every cluster has one picture, so that all pictures are independent."""
        return len(self.sizes) == len(self.of)

    def sums(self, values: npt.ArrayLike) -> Floats:
        """Add up (…, n) values by cluster: (…, G)."""
        array = np.asarray(values, np.float64)
        return array if self.all_single else np.asarray(array @ self._members)

    def part(self, chosen: npt.NDArray[np.bool_]) -> "Clusters":
        """Return the clusters of the chosen pictures."""
        return clusters_of(self.of[chosen])

    @cached_property
    def _members(self) -> sparse.csr_array:
        n = len(self.of)
        return sparse.csr_array((np.ones(n), (np.arange(n), self.of)))


def clusters_of(labels: npt.ArrayLike) -> Clusters:
    """Put pictures with equal labels into one cluster."""
    codes, _ = pd.factorize(np.asarray(labels))
    return Clusters(of=codes.astype(np.int64))


def singles(n: int) -> Clusters:
    """Return the clusters of n independent pictures."""
    return Clusters(of=np.arange(n))


def deviations(values: npt.ArrayLike, clusters: Clusters) -> Floats:
    """Return (…, G) deviations whose sum of squares is the variance of the mean of the values.

    The sum of products of the deviations of two means is their covariance. For the variance with
    clusters see Rao and Scott (1992), "A Simple Method for the Analysis of Clustered Binary Data",
    Biometrics 48(2), section 2. For independent pictures it is the variance of the values over n.

    Args:
        values: (…, n) values of the pictures.
        clusters: Clusters of the pictures, at least two.
    """
    array = np.asarray(values, np.float64)
    n, count = array.shape[-1], len(clusters.sizes)
    apart = clusters.sums(array - array.mean(axis=-1, keepdims=True))
    scaled: Floats = apart * (np.sqrt(count / (count - 1)) / n)
    return scaled


def design_effect(parts: Iterable[tuple[npt.NDArray[np.bool_], Clusters]]) -> float:
    """Return the factor by which clusters raise the variance of an accuracy, at least 1.

    Rao and Scott (1992), as in `deviations`. If all answers are correct, or all are wrong, the
    correlation within clusters cannot be estimated; then it is taken to be 1 (Kish 1965, "Survey
    Sampling", section 5.4).

    Args:
        parts: For each model, whether it classified each picture correctly (n,), and the clusters
            of these pictures. One design effect is estimated from all models together.
    """
    known = list(parts)
    if all(clusters.all_single for _, clusters in known):
        return 1.0
    clustered = binomial = most = 0.0
    for right, clusters in known:
        n, accuracy = len(right), right.mean()
        if len(clusters.sizes) > 1:
            clustered += float((deviations(right, clusters) ** 2).sum())
            binomial += accuracy * (1 - accuracy) / (n - 1)
        most = max(most, float((clusters.sizes**2).sum() / n))
    return max(1.0, clustered / binomial if binomial else most)
