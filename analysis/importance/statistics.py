"""Importance of hyperparameters in sweeps other than grids: Optuna's fANOVA and PED-ANOVA."""

import warnings
from dataclasses import dataclass
from typing import Any

import optuna
import pandas as pd
from sklearn.ensemble import RandomForestRegressor

from analysis.run.distributions import distribution, plain
from analysis.run.hyperparameters import searched
from analysis.run.run_data import UNKNOWN, RunData, adaptive_words
from analysis.run.trainings import trainings_at_common_epoch
from analysis.statistics.estimate import NotKnownError

TRIALS_EACH = 10
"""With fewer configurations than this per hyperparameter the result is not reliable."""
MOST_CONFIGURATIONS = 300
"""Maximum number of configurations that the forests are trained on; a larger sweep is sampled at
random. The time of fANOVA grows with the square of their number, while its shares hardly change."""
MOST_FOR_PED = 2000
"""The same for PED-ANOVA, whose time is that of building Optuna's trials."""
LEAST_EXPLAINED = 0.3
"""With a lower out-of-bag R² of the forest the result is not reliable."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Importance:
    """How much each hyperparameter of a run matters for the accuracy."""

    frame: pd.DataFrame
    """A row per hyperparameter, the most important first: ``hyperparameter``, ``fanova`` (share of
    the forest's variance over the whole space), ``ped_anova`` (share of the difference between the
    best tenth and the rest). Each column adds up to 1."""
    configurations: int
    """Number of configurations of the run."""
    explained: float
    """Out-of-bag R² of a forest: the share of the variance of unseen configurations that it
    predicts."""
    left_out: tuple[str, ...]
    """Hyperparameters that some configurations do not have."""
    warnings: tuple[str, ...]
    """Sentences that say why the result is not reliable."""


def importance(run: RunData, seed: int = 0) -> Importance:
    """Compute the importance of each searched hyperparameter with Optuna.

    fANOVA: Hutter, Hoos and Leyton-Brown (2014), "An Efficient Approach for Assessing
    Hyperparameter Importance", ICML. PED-ANOVA: Watanabe, Bansal and Hutter (2023), "PED-ANOVA:
    Efficiently Quantifying Hyperparameter Importance in Arbitrary Subspaces", IJCAI. Accuracies
    are those at the last epoch that all trials reached, averaged over replicates.

    Raises:
        NotKnownError: There are fewer than four configurations, or no hyperparameter that all of
            them have.
    """
    means = trainings_at_common_epoch(run).means
    trials = run.comparable.drop_duplicates("configuration_id").set_index("configuration_id")
    table = trials.loc[means.index, searched(run)]
    whole = [str(name) for name in table if table[name].notna().all() and table[name].nunique() > 1]
    if len(table) < 4 or not whole:
        raise NotKnownError(
            "importance needs at least 4 configurations that differ in a hyperparameter which all "
            f"of them have, but {run.name} has {len(table)} configurations and {len(whole)} such "
            "hyperparameters"
        )
    drawn = table[whole].sample(min(len(table), MOST_CONFIGURATIONS), random_state=seed)
    many = table[whole]
    if len(many) > MOST_FOR_PED:
        many = many.sample(MOST_FOR_PED, random_state=seed)
    explained = _explained(drawn, means[drawn.index], seed)
    gains = run.metric.sign * means  # the best tenth has the largest
    shares = {
        "fanova": _evaluated(drawn, gains, optuna.importance.FanovaImportanceEvaluator(seed=seed)),
        "ped_anova": _evaluated(many, gains, _ped_anova()),
    }
    frame = pd.DataFrame(shares).sort_values("fanova", ascending=False, kind="stable")
    return Importance(
        frame=frame.rename_axis("hyperparameter").reset_index(),
        configurations=len(table),
        explained=explained,
        left_out=tuple(str(name) for name in table if table[name].isna().any()),
        warnings=tuple(_warnings(run, len(table), len(whole), explained)),
    )


def _study(table: pd.DataFrame, means: "pd.Series[float]") -> optuna.Study:
    """Build an in-memory Optuna study of the configurations."""
    verbosity = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    optuna.logging.set_verbosity(verbosity)
    distributions = {name: distribution(table[name]) for name in map(str, table)}
    study.add_trials(
        optuna.trial.create_trial(
            params={name: plain(row[name]) for name in distributions},
            distributions=distributions,
            value=value,
        )
        for value, row in zip(means.loc[table.index], table.to_dict("records"), strict=True)
    )
    return study


def _ped_anova() -> optuna.importance.PedAnovaImportanceEvaluator:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        return optuna.importance.PedAnovaImportanceEvaluator()


def _evaluated(
    table: pd.DataFrame, means: "pd.Series[float]", evaluator: Any
) -> "pd.Series[float]":
    names = list(map(str, table))
    found = optuna.importance.get_param_importances(
        _study(table, means), evaluator=evaluator, params=names
    )
    return pd.Series(found).reindex(names)


def _explained(table: pd.DataFrame, means: "pd.Series[float]", seed: int) -> float:
    """Return the out-of-bag R² of a random forest on the configurations."""
    features = pd.get_dummies(table).astype(float)
    forest = RandomForestRegressor(200, oob_score=True, random_state=seed)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # with few trials some are in every bag
        forest.fit(features.to_numpy(), means.to_numpy())
    return float(forest.oob_score_)


def _warnings(run: RunData, count: int, width: int, explained: float) -> list[str]:
    sentences = []
    if count < TRIALS_EACH * width:
        sentences.append(
            f"{count} configurations are too few for a reliable order of {width} hyperparameters; "
            f"train at least {TRIALS_EACH * width}."
        )
    if explained < LEAST_EXPLAINED:
        sentences.append(
            f"A forest predicts only {100 * max(0.0, explained):.0f} % of the variance of "
            "configurations that it has not seen, so the shares are mostly chance."
        )
    if run.info.sampling == "adaptive":
        sentences.append(
            f"{adaptive_words(run)}, so values that were avoided early count for too little here."
            if run.info.searcher == UNKNOWN
            else f"The searcher {run.info.searcher} sampled adaptively, so values that it avoided "
            "early count for too little here."
        )
    return sentences
