"""Independent trainings of configurations, and contrasts of their means with errors."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pandas as pd

from analysis.statistics.clusters import Clusters, Floats, deviations, singles
from analysis.statistics.estimate import Estimate, combined
from analysis.statistics.moderation import moderated


@dataclass(frozen=True, kw_only=True, eq=False)
class Trainings:
    """Trainings that differ in configuration and seed, evaluated on the same n pictures.

    Their accuracies have two sources of error. One is the seed, estimated from replicates. The
    other is the choice of pictures, estimated from the answers to single pictures.
    """

    configuration: "pd.Series[str]"
    """Trial id → configuration id."""
    accuracy: "pd.Series[float]"
    """Trial id → accuracy."""
    correct: pd.DataFrame | None = None
    """A row per trial, a column per picture: whether it was classified correctly. None without
    predictions; then all results apply to these pictures only."""
    clusters: Clusters | None = None
    """Clusters of these pictures; None if all are independent."""

    @cached_property
    def means(self) -> "pd.Series[float]":
        """Configuration id → mean accuracy of its trainings."""
        return self.accuracy.groupby(self.configuration, sort=False).mean()

    @cached_property
    def replicates(self) -> "pd.Series[int]":
        """Configuration id → number of its trainings."""
        return self.accuracy.groupby(self.configuration, sort=False).count()

    @property
    def replicated(self) -> bool:
        """Whether any configuration has several trainings, so that the error can be estimated."""
        return bool((self.replicates > 1).any())

    @cached_property
    def seeds(self) -> pd.DataFrame:
        """Variance between trainings: a row per configuration, columns ``variance`` and ``df``.

        Because each configuration has few replicates, its variance is moderated by those of the
        others (`analysis.statistics.moderation`). If all variances are similar, the result is the
        pooled variance, as in an analysis of variance; otherwise it is closer to the separate
        variances, as in Welch's test.
        """
        own = self.accuracy.groupby(self.configuration, sort=False).var()
        return moderated(own, self.replicates - 1)

    @cached_property
    def seeds_df(self) -> int:
        """Total degrees of freedom of the variances between replicates."""
        return int((self.replicates - 1).sum())

    @cached_property
    def pictures(self) -> Clusters:
        """Clusters of the pictures in ``correct``."""
        count = 0 if self.correct is None else self.correct.shape[1]
        return self.clusters or singles(count)

    @cached_property
    def counts(self) -> pd.DataFrame | None:
        """Number of correct pictures in each cluster: trials × clusters."""
        if self.correct is None:
            return None
        return pd.DataFrame(self.pictures.sums(self.correct), index=self.correct.index)

    @cached_property
    def by_picture(self) -> Floats:
        """Deviations of the means by picture: (configurations, clusters of pictures).

        Their sums of products are the covariances of the means due to the choice of pictures.
        """
        if self.correct is None:
            return np.zeros((len(self.means), 1))
        shares = self.correct.astype(float).groupby(self.configuration, sort=False).mean()
        return deviations(shares.loc[self.means.index], self.pictures)

    @cached_property
    def noise(self) -> "pd.Series[float]":
        """Configuration id → part of the variance in ``by_picture`` that is due to seeds."""
        if self.counts is None or self.correct is None:
            return self.means * 0
        of_counts = self.counts.groupby(self.configuration, sort=False).var().sum(axis=1)
        return of_counts / self.replicates / self.correct.shape[1] ** 2

    @cached_property
    def rows(self) -> Mapping[str, int]:
        """Configuration id → its place in ``means``."""
        return {name: row for row, name in enumerate(self.means.index)}

    @cached_property
    def facts(self) -> Floats:
        """Means, their variances due to seeds, df of these, and ``noise``: (4, configurations)."""
        # Few replicates can agree by luck; the error is at least the noise of single answers.
        of_means = np.maximum(self.seeds["variance"] / self.replicates, self.noise)
        return np.array([self.means, of_means, self.seeds["df"], self.noise], dtype=np.float64)


def contrast(trainings: Trainings, weights: "pd.Series[float]") -> Estimate:
    """Estimate a weighted sum of configuration means, such as a mean, a difference, an effect.

    Seeds and pictures are crossed random factors. The variance of the sum is that due to seeds,
    Σ wₖ²·sₖ²/Rₖ, plus that due to pictures or clusters of them
    (`analysis.statistics.clusters.deviations`), minus the part that is in both (for the
    decomposition see Owen 2007, "The Pigeonhole Bootstrap", Annals of Applied Statistics 1(2),
    section 2).

    Args:
        trainings: All fair trainings of the sweep, with replicates.
        weights: Configuration id → weight; missing ones have weight 0.
    """
    rows = [trainings.rows[name] for name in weights.index]
    wanted = weights.to_numpy(np.float64)
    means, of_means, df, noise = trainings.facts[:, rows]
    seed_part = combined(0.0, zip(of_means * wanted**2, df, strict=True))
    seeds = seed_part.standard_error**2, min(seed_part.df, trainings.seeds_df)
    by_picture = wanted @ trainings.by_picture[rows]
    of_pictures = max(0.0, float(by_picture @ by_picture - wanted**2 @ noise))
    return combined(float(wanted @ means), [seeds, (of_pictures, len(by_picture) - 1)])


def difference(trainings: Trainings, first: str, second: str) -> Estimate:
    """Estimate the mean of configuration ``first`` minus that of ``second``."""
    return contrast(trainings, pd.Series({first: 1.0, second: -1.0}))
