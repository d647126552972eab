"""The first student study's tables 2.2 and 3.1, analysed as ours: what its numbers support."""

import json
from math import sqrt
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, t
from statsmodels.formula.api import ols
from statsmodels.stats import proportion
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import NormalIndPower

import analysis.__main__
from analysis.published.__main__ import main
from analysis.published.statistics import (
    Conclusion,
    claims_of,
    judge,
    optimism_of_picking,
    pictures_needed,
    replicates_needed,
    residual_spread,
    unpaired,
)
from analysis.published.table import published
from analysis.rendering.render import to_markdown
from analysis.statistics.estimate import Estimate
from analysis.statistics.pairs import over_folds
from analysis.statistics.verdicts import Verdict

FIXTURES = Path(__file__).parent / "fixtures"
PICTURES = 2_225
HYPERPARAMETERS = ["kernel", "blocks", "channels"]
CONCLUSIONS = {
    "kernel 5 beats 3": Conclusion("kernel", 5, 3),
    "kernel 5 beats 7": Conclusion("kernel", 5, 7),
    "8 blocks with 2 FC layers beat 4 with 1": Conclusion("blocks", 8, 4),
    "32 channels beat 16": Conclusion("channels", 32, 16),
}


@pytest.fixture(scope="module")
def table():
    return pd.read_csv(FIXTURES / "study_a_table_2_2.csv")


@pytest.fixture(scope="module")
def judged(table):
    found = judge(table, HYPERPARAMETERS, PICTURES, claims_of(table, CONCLUSIONS))
    print(found.to_markdown(index=False, floatfmt=".4f"))
    return found.set_index("claim")


def test_the_table_is_the_one_published(table):
    # Accuracies are multiples of 1/2225.
    right = table["accuracy"] * PICTURES
    assert np.allclose(right, right.round(), atol=2e-3)
    assert table["accuracy"].max() == 0.623371


def test_no_kernel_is_shown_to_be_better(judged):
    kernels = judged.loc[["kernel 5 beats 3", "kernel 5 beats 7"]]
    assert (kernels["verdict"] == Verdict.NOT_SHOWN).all()
    assert (kernels["pictures"] > 5 * PICTURES).all()


def test_more_blocks_with_more_fc_layers_are_shown_to_be_better_in_these_trainings(judged):
    row = judged.loc["8 blocks with 2 FC layers beat 4 with 1"]
    assert row["verdict"] == Verdict.BETTER
    assert row["pictures"] < PICTURES
    assert row["replicates"] == 2


def test_channels_show_no_effect_and_are_not_shown_to_be_equivalent(judged):
    row = judged.loc["32 channels beat 16"]
    assert row["verdict"] == Verdict.NOT_SHOWN
    assert row["difference_high"] > 0.01


def test_the_best_model_is_not_shown_to_beat_even_the_last(judged):
    pairs = judged.loc[["the best model beats the second", "the best model beats the last"]]
    assert (pairs["verdict"] == Verdict.NOT_SHOWN).all()


def test_the_command_prints_what_a_table_supports(judged, capsys):
    claims = [f"--claim={claim}" for claim in ("kernel=5:3", "kernel=5:7", "blocks=8:4")]
    claims.append("--claim=channels=32:16")
    csv = str(FIXTURES / "study_a_table_2_2.csv")
    assert main([csv, "--pictures", str(PICTURES), *claims, "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["verdict"] for row in rows] == judged["verdict"].tolist()
    assert [row["pictures"] for row in rows] == judged["pictures"].tolist()


def test_the_command_is_one_of_analysis(judged, capsys):
    csv = str(FIXTURES / "study_a_table_2_2.csv")
    claims = ["--claim=kernel=5:3", "--claim=blocks=8:4", "--claim=channels=32:16"]
    words = ["published", csv, "--pictures", str(PICTURES), *claims, "--format", "json"]
    assert analysis.__main__.main(words) == 0
    first = json.loads(capsys.readouterr().out)[0]
    assert first["verdict"] == judged["verdict"].iloc[0]


def test_hyperparameters_without_a_claim_are_named():
    csv = FIXTURES / "study_a_table_2_2.csv"
    some = published(csv, PICTURES, ["kernel=5:3"]).notes[-1]
    assert some.startswith("Not claimed: blocks, channels, fc_layers. ")
    # The number of FC layers follows the blocks in this table; recall is a measurement.
    every = published(csv, PICTURES, ["kernel=5:3", "blocks=8:4", "channels=32:16"]).notes
    assert not any(note.startswith("Not claimed") for note in every)


def test_a_hyperparameter_that_varies_at_one_level_only_is_named_too(tmp_path):
    csv = tmp_path / "table.csv"
    csv.write_text("name,kernel,depth,accuracy\na,3,1,0.6\nb,3,1,0.62\nc,5,1,0.6\nd,5,2,0.61\n")
    assert published(csv, PICTURES, ["kernel=5:3"]).notes[-1].startswith("Not claimed: depth. ")


@pytest.mark.parametrize(
    ("text", "claim", "told"),
    [
        (None, "kernel=5:3", "cannot read"),
        ("", "kernel=5:3", "is not a CSV file"),
        ("kernel,accuracy\n", "kernel=5:3", "has no column name"),
        ("name,kernel,accuracy\na,3,62\n", "kernel=5:3", "line 2: accuracy must be from 0 to 1"),
        ("name,kernel,accuracy\na,3,0.6\n", "kernel=5:3", "two levels of kernel (3)"),
        ("name,kernel,accuracy\na,3,0.6\n", "kernels=5:3", "one of the columns name, kernel, acc"),
        ("name,kernel,accuracy\na,3,0.6\nb,5,0.7\n", "kernel=5:3", "give more than 2 models"),
        ("name,kernel,accuracy\na,3,high\nb,5,0.7\n", "kernel=5:3", "must be a number from 0"),
        ("name,kernel,accuracy\na,3,0.6\nb,5,0.7\n", "kernel=5:3:1", "but got 'kernel=5:3:1'"),
    ],
)
def test_the_command_refuses_a_bad_table_in_a_line(tmp_path, capsys, text, claim, told):
    csv = tmp_path / "table.csv"
    if text is not None:
        csv.write_text(text)
    assert main([str(csv), "--pictures", "100", "--claim", claim]) == 2
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


def test_equal_models_would_take_no_number_of_pictures(table):
    equal = table.assign(accuracy=0.6)
    equal.loc[[0, 1], "accuracy"] = [0.62, 0.62]
    found = judge(equal, HYPERPARAMETERS, PICTURES, claims_of(equal, CONCLUSIONS))
    second = found.set_index("claim").loc["the best model beats the second"]
    assert second["difference"] == 0
    assert pd.isna(second["pictures"])


def test_a_pair_equals_the_unpaired_test_of_two_shares(table):
    accuracy = table["accuracy"]
    weights = pd.Series(0.0, index=table.index)
    weights[accuracy.idxmax()], weights[accuracy.idxmin()] = 1.0, -1.0
    ours = unpaired(accuracy, weights, PICTURES)
    right = (accuracy * PICTURES).round()[[accuracy.idxmax(), accuracy.idxmin()]]
    counts = (right.iloc[0], PICTURES, right.iloc[1], PICTURES)
    # The published accuracies are rounded to six digits.
    theirs = proportion.test_proportions_2indep(*counts, method="wald")
    assert ours.p_value == pytest.approx(theirs.pvalue, rel=1e-3)
    interval = proportion.confint_proportions_2indep(*counts, method="wald")
    assert ours.interval() == pytest.approx(interval, abs=1e-6)


def test_the_pictures_needed_have_the_power_that_is_promised(table, judged):
    row = judged.loc["the best model beats the last"]
    spread = sqrt(table["accuracy"].max() * (1 - table["accuracy"].max()))
    power = NormalIndPower().power(row["difference"] / spread, row["pictures"], 0.05 / 66)
    # The two shares have slightly different variances; the power function takes one.
    assert power == pytest.approx(0.8, abs=0.02)


@pytest.mark.parametrize("difference", [0.031, 0.033, -0.037])
def test_the_pictures_needed_are_the_fewest_that_show_the_difference(difference):
    def detectable(pictures):
        error = 0.02 * sqrt(1_000 / pictures)
        return Estimate(value=difference, standard_error=error).detectable(3)

    estimate = Estimate(value=difference, standard_error=0.02)
    needed = pictures_needed(estimate, 1_000, 3)
    assert detectable(needed) <= abs(difference) < detectable(needed - 1)


def test_the_residual_spread_training_is_the_residual_of_the_main_effects(table):
    fit = ols("accuracy ~ C(kernel) + C(blocks) + C(channels)", table).fit()
    assert residual_spread(table, HYPERPARAMETERS) == pytest.approx(sqrt(fit.mse_resid))


def test_a_difference_of_nothing_takes_more_replicates_than_anyone_has():
    weights = pd.Series([1.0, -1.0])
    assert replicates_needed(1e-6, weights, 0.01, 1) is None
    assert replicates_needed(0.05, weights, 0.01, 1) == 3


def test_picking_the_best_of_equal_models_is_worth_the_expected_maximum():
    draws = np.random.default_rng(0).normal(size=(200_000, 12)).max(axis=1).mean()
    expected = draws * sqrt(0.6 * 0.4 / PICTURES)
    # 200,000 draws: the mean of the maximum is known to about 0.1 %.
    assert optimism_of_picking(0.6, PICTURES, 12) == pytest.approx(expected, rel=0.005)


def test_the_ten_folds_of_table_3_1_have_the_average_published_and_a_corrected_interval():
    accuracy = pd.read_csv(FIXTURES / "study_a_table_3_1.csv")["accuracy"].to_numpy()
    average = over_folds(accuracy, 1 / 9)
    low, high = average.interval()
    print(f"ten folds: {average.value:.4f}, corrected 95 % interval {low:.4f} to {high:.4f}")
    assert average.value == pytest.approx(0.6422288, abs=1e-7)
    assert (low, high) == pytest.approx((0.6308, 0.6536), abs=1e-4)
    naive = accuracy.std(ddof=1) / sqrt(10)
    assert average.standard_error == pytest.approx(naive * sqrt(1 + 10 / 9))


def test_a_claim_is_adjusted_within_its_own_family(table, judged):
    accuracy = table.set_index("name")["accuracy"]
    order = accuracy.sort_values(ascending=False)

    def p_value(difference, variance):
        return 2 * norm.sf(abs(difference) / sqrt(variance / PICTURES))

    p = []
    for column, high, low in CONCLUSIONS.values():
        groups = [table.loc[table[column] == level, "accuracy"] for level in (high, low)]
        variance = sum((each * (1 - each)).sum() / len(each) ** 2 for each in groups)
        p.append(p_value(groups[0].mean() - groups[1].mean(), variance))
    assert judged["p_adjusted"].iloc[:4].tolist() == pytest.approx(
        multipletests(p, method="holm")[1]
    )
    for words, other in (("second", order.iloc[1]), ("last", order.iloc[-1])):
        row = judged.loc[f"the best model beats the {words}"]
        assert row["difference"] == pytest.approx(order.iloc[0] - other)
    both = [order.iloc[1], order.iloc[-1]]
    p = [
        p_value(order.iloc[0] - b, order.iloc[0] * (1 - order.iloc[0]) + b * (1 - b)) for b in both
    ]
    # Holm within all 66 pairs: the smaller of the two first.
    expected = [min(1, max(66 * min(p), 65 * p[0])), min(1, 66 * p[1])]
    assert judged["p_adjusted"].iloc[4:].tolist() == pytest.approx(expected)


@pytest.mark.parametrize(("p", "told"), [(0.04, Verdict.NOT_SHOWN), (0.02, Verdict.EQUIVALENT)])
def test_that_levels_are_equivalent_is_adjusted_for_the_claims_too(p, told):
    models = pd.DataFrame({"name": list("abcd"), "kernel": [3, 3, 5, 5], "accuracy": 0.6})
    # Of 0.01 from 0, in standard errors of the difference of two means of two.
    pictures = round(0.6 * 0.4 * (norm.isf(p) / 0.01) ** 2)
    both = {"5 beats 3": Conclusion("kernel", 5, 3), "3 beats 5": Conclusion("kernel", 3, 5)}
    found = judge(models, ["kernel"], pictures, claims_of(models, both))
    assert found["verdict"].tolist()[:2] == [told] * 2


def test_of_equal_models_the_first_in_the_table_is_the_best_and_the_last_the_worst():
    accuracy = [0.6, 0.5, 0.7] * 20  # more than an unstable sort leaves in order
    models = pd.DataFrame({"name": [f"m{k}" for k in range(60)], "accuracy": accuracy})
    claims = claims_of(models, {})
    assert [(claim.better["name"], claim.worse["name"]) for claim in claims] == [
        ("m2", "m5"),
        ("m2", "m58"),
    ]
    assert {claim.family for claim in claims} == {60 * 59 // 2}


def test_a_claim_of_levels_is_about_the_means_of_their_models(table, judged):
    for words, (column, high, low) in CONCLUSIONS.items():
        groups = [table.loc[table[column] == level, "accuracy"] for level in (high, low)]
        variance = sum((each * (1 - each)).sum() / len(each) ** 2 for each in groups) / PICTURES
        difference = groups[0].mean() - groups[1].mean()
        reach = norm.isf(0.05 / len(CONCLUSIONS) / 2) * sqrt(variance)
        assert judged.loc[words, ["difference", "difference_low", "difference_high"]].tolist() == (
            pytest.approx([difference, difference - reach, difference + reach])
        )


def test_a_claim_the_other_way_round_has_the_opposite_difference(table, judged):
    turned = {"kernel 3 beats 5": Conclusion("kernel", 3, 5)}
    found = judge(table, HYPERPARAMETERS, PICTURES, claims_of(table, turned)).set_index("claim")
    assert found.loc["kernel 3 beats 5", "difference"] == pytest.approx(
        -judged.loc["kernel 5 beats 3", "difference"]
    )


def test_the_markdown_of_a_published_table_says_what_it_judges(capsys, tmp_path):
    csv = tmp_path / "my table.csv"
    csv.write_text((FIXTURES / "study_a_table_2_2.csv").read_text())
    assert main([str(csv), "--pictures", "2225", "--claim", "kernel=5:3"]) == 0
    text = capsys.readouterr().out
    assert text == to_markdown(published(csv, PICTURES, ["kernel=5:3"]))
    assert text.startswith("**What my table.csv supports**")
    assert "| kernel 5 beats 3 " in text
    assert text.count("| 2225 |") == 3


@pytest.mark.parametrize(("claim", "code"), [("kernel=5:5", 2), ("kernel=5", 2), ("kernel=5:3", 0)])
def test_a_claim_needs_two_levels(capsys, claim, code):
    csv = str(FIXTURES / "study_a_table_2_2.csv")
    assert main([csv, "--pictures", "2225", "--claim", claim]) == code
    assert bool(capsys.readouterr().err) == bool(code)


def test_there_must_be_a_picture(capsys):
    csv = str(FIXTURES / "study_a_table_2_2.csv")
    assert main([csv, "--pictures", "0", "--claim", "kernel=5:3"]) == 2
    assert "--pictures must be at least 1, but got 0" in capsys.readouterr().err


def test_a_bad_accuracy_is_told_by_its_line(tmp_path, capsys):
    csv = tmp_path / "table.csv"
    csv.write_text("name,kernel,accuracy\na,3,0.6\nb,5,1.0\nc,5,-0.1\n")
    assert main([str(csv), "--pictures", "9", "--claim", "kernel=5:3"]) == 2
    assert "line 4: accuracy must be from 0 to 1, but got -0.1" in capsys.readouterr().err


def test_intervals_and_the_smallest_difference_allow_for_the_family_of_the_claim(table, judged):
    accuracy = table.set_index("name")["accuracy"].sort_values()
    error = sqrt(sum(p * (1 - p) / PICTURES for p in (accuracy.iloc[0], accuracy.iloc[-1])))
    row = judged.loc["the best model beats the last"]
    z = norm.isf(0.05 / 66 / 2)
    ends = [row["difference"] - z * error, row["difference"] + z * error]
    assert row[["difference_low", "difference_high"]].tolist() == pytest.approx(ends)
    assert row["detectable"] == pytest.approx((z + norm.ppf(0.8)) * error)


@pytest.mark.parametrize("difference", [0.03, -0.03])
@pytest.mark.parametrize("family", [1, 66])
def test_replicates_needed_are_the_fewest_whose_t_test_shows_the_difference(difference, family):
    weights, spread = pd.Series([0.5, 0.5, -0.5, -0.5]), 0.02

    def shown(replicates):
        df = 4 * (replicates - 1)
        multiplier = t.isf(0.05 / family / 2, df) + t.ppf(0.8, df)
        return multiplier * spread * sqrt(1 / replicates)

    expected = next(count for count in range(2, 100) if shown(count) <= 0.03)
    assert expected > 2
    assert replicates_needed(difference, weights, spread, family) == expected


def test_headings_of_a_published_table_stand_over_their_own_columns():
    made = published(FIXTURES / "study_a_table_2_2.csv", PICTURES, ["kernel=5:3", "kernel=5:7"])
    columns = made.views[0].columns
    assert [(one.heading, one.key, one.upper_key) for one in columns] == [
        ("claim", "claim", ""), ("difference", "difference", ""),
        ("95 % interval", "difference_low", "difference_high"), ("p, adjusted", "p_adjusted", ""),
        ("verdict", "verdict", ""), ("pictures to show it", "pictures", ""),
        ("replicates to show it", "replicates", ""), ("n", "n", ""),
    ]  # fmt: skip
    assert made.frame["claim"].tolist()[:2] == ["kernel 5 beats 3", "kernel 5 beats 7"]
