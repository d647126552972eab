from pathlib import Path

import pytest
import yaml

from tests.support.sweeps import SPEC, small_spec
from tune.session.run_directory import read_spec
from tune.sweep.spec import SpecError, load_spec, override_spec, parse_spec

SPECS = Path(__file__).parents[1] / "tune" / "specs"

GOOD = """\
name: small
data: data/none
fixed: {family: resnet, learning_rate: 1e-3, epochs: 2}
space:
  kernel_size: [3, 5]
  blocks: [1, 2]
searcher:
  name: grid
"""


def write(folder, text):
    path = folder / "spec.yaml"
    path.write_text(text)
    return path


def refusal(folder, text, overrides=()):
    with pytest.raises(SpecError) as error:
        load_spec(write(folder, text), overrides)
    assert "\n" not in str(error.value)
    return str(error.value)


def test_a_good_spec_is_read_with_its_defaults(tmp_path):
    spec = load_spec(write(tmp_path, GOOD))
    assert spec.fixed["learning_rate"] == 0.001
    assert (spec.scheduler.name, spec.replicates, spec.finalists) == ("none", 1, 5)
    assert spec.search_space.names() == ("kernel_size", "blocks")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ("searcher:", "searchr:", ["'searchr'", "'searcher'", "line 7"]),
        ("  name: grid", "  nam: grid", ["'nam'", "searcher", "'name'", "line 8"]),
        ("kernel_size:", "kernel_sise:", ["'kernel_sise'", "'kernel_size'", "line 5"]),
        ("learning_rate:", "learning_rat:", ["'learning_rat'", "'learning_rate'", "line 3"]),
        ("[3, 5]", "[3, 55]", ["kernel_size", "55", "spec.yaml"]),
        ("epochs: 2", "epochs: many", ["epochs", "'many'"]),
        ("name: small", "name: a/b", ["name", "a/b", "line 1"]),
        ("blocks: [1, 2]", "blocks: [1, 2]\n  epochs: [1, 2]", ["epochs", "fixed", "space"]),
        ("blocks: [1, 2]", "seed: [1, 2]", ["seed", "replicates"]),
        ("data: data/none\n", "", ["data is missing"]),
        ("  name: grid", "  name: [grid", ["not valid YAML"]),
    ],
)
def test_a_wrong_spec_is_refused_in_one_line_that_names_place_and_way_out(
    tmp_path, old, new, words
):
    assert old in GOOD
    message = refusal(tmp_path, GOOD.replace(old, new))
    for word in words:
        assert word in message


def test_a_hyperparameter_of_another_family_is_refused(tmp_path):
    message = refusal(tmp_path, GOOD.replace("family: resnet", "family: plain"))
    assert "plain" in message
    assert "blocks" in message


def test_set_changes_one_value(tmp_path):
    path = write(tmp_path, GOOD)
    spec = load_spec(path, ["fixed.epochs=7", "space.blocks=[4]", "scheduler.name=asha"])
    assert spec.fixed["epochs"] == 7
    assert spec.space["blocks"] == [4]
    assert spec.scheduler.name == "asha"
    assert spec.fixed["learning_rate"] == 0.001


def test_set_moves_a_hyperparameter_between_fixed_and_space(tmp_path):
    path = write(tmp_path, GOOD)
    spec = load_spec(path, ["space.epochs=[3, 7]", "fixed.blocks=4", "fixed.lr_schedule=cosine"])
    assert spec.space["epochs"] == [3, 7]
    assert spec.fixed["blocks"] == 4
    assert "epochs" not in spec.fixed
    assert "blocks" not in spec.space


def test_objectives_are_one_or_a_list_and_read_back_as_they_were(tmp_path):
    one = load_spec(write(tmp_path, GOOD), ["objective.metric=val_macro_f1"])
    assert one.objectives == (one.objective,)
    two = load_spec(
        write(tmp_path, GOOD),
        ["objective=[{metric: val_accuracy}, {metric: parameters, mode: min}]"],
    )
    assert [objective.metric for objective in two.objectives] == ["val_accuracy", "parameters"]
    assert two.objective.metric == "val_accuracy"
    for spec in (one, two):
        assert load_spec(write(tmp_path, spec.to_yaml())) == spec


@pytest.mark.parametrize(
    ("objective", "message"),
    [
        ("{metric: accuracy}", "must be one of val_loss, val_accuracy"),
        ("{metric: val_accuracy, mod: max}", "the nearest one is 'mode'"),
        (
            "[{metric: val_accuracy}, {metric: parameters, mode: max}]",
            "parameters is better when smaller; leave mode out, or write mode: min",
        ),
        ("{metric: val_loss, mode: max}", "val_loss is better when smaller; leave mode out"),
        ("{metric: val_macro_f1, mode: min}", "val_macro_f1 is better when larger; leave mode"),
        ("loss", "must be one of val_loss, val_accuracy"),
        ("{metric: parameters, mode: min}", "must begin with a measured metric"),
        ("[{metric: val_loss, mode: min}, {metric: val_loss, mode: min}]", "each metric once"),
        ("[]", "at least 1"),
    ],
)
def test_a_wrong_objective_is_refused_with_its_line(tmp_path, objective, message):
    refused = refusal(tmp_path, f"{GOOD}objective: {objective}\n")
    assert message in refused
    assert "line 9" in refused


@pytest.mark.parametrize(
    ("metric", "mode"),
    [
        ("val_loss", "min"),
        ("val_accuracy", "max"),
        ("val_macro_f1", "max"),
        ("val_micro_recall", "max"),
    ],
)
def test_the_direction_of_a_metric_is_known(tmp_path, metric, mode):
    for written in (metric, f"{{metric: {metric}}}", f"{{metric: {metric}, mode: {mode}}}"):
        assert load_spec(write(tmp_path, f"{GOOD}objective: {written}\n")).objective.mode == mode


def test_a_recorded_run_keeps_a_direction_that_is_refused_now(tmp_path):
    path = write(tmp_path, f"{GOOD}objective: {{metric: val_loss, mode: max}}\n")
    assert load_spec(path, recorded=True).objective.mode == "max"


def test_names_alone_are_taken_for_objectives_searcher_and_scheduler(tmp_path):
    text = GOOD[: GOOD.index("searcher")]
    short = "objective: [val_accuracy, parameters]\nsearcher: tpe\nscheduler: asha\n"
    long = (
        "objective: [{metric: val_accuracy, mode: max}, {metric: parameters, mode: min}]\n"
        "searcher: {name: tpe}\nscheduler: {name: asha}\n"
    )
    spec = load_spec(write(tmp_path, text + short))
    assert spec == load_spec(write(tmp_path, text + long))
    assert load_spec(write(tmp_path, spec.to_yaml())) == spec


def test_an_override_reaches_into_a_short_form(tmp_path):
    text = GOOD[: GOOD.index("searcher")] + "searcher: tpe\nobjective: val_loss\n"
    spec = load_spec(write(tmp_path, text), ["searcher.samples=7", "objective.at=last"])
    assert (spec.searcher.name, spec.searcher.samples) == ("tpe", 7)
    assert (spec.objective.metric, spec.objective.mode, spec.objective.at) == (
        "val_loss", "min", "last",
    )  # fmt: skip


def test_a_key_that_stands_twice_is_refused_with_its_line(tmp_path):
    assert "spec.yaml, line 9: the key name is already in line 1" in refusal(
        tmp_path, f"{GOOD}name: other\n"
    )


def test_epochs_are_not_searched_where_a_short_training_is_the_beginning_of_a_long_one():
    values = {"name": "x", "data": "d", "fixed": {"family": "resnet"}}
    schedules = ["cosine", "constant"]
    for others in ({"blocks": [1, 2]}, {"lr_schedule": schedules}):
        with pytest.raises(
            SpecError, match=r"only one of them would be trained.* lr_schedule \(spec\)$"
        ):
            parse_spec({**values, "space": {"epochs": [2, 3], **others}})
    apart = {"lr_schedule": {"cosine": {"epochs": [2, 3]}, "constant": {"epochs": [3]}}}
    assert parse_spec({**values, "space": apart}).most_epochs == 3
    kept = parse_spec({**values, "space": {"epochs": [2, 3]}}, recorded=True)
    assert kept.space == {"epochs": [2, 3]}, "a run that exists goes on"
    tied = {"blocks": [1, 2], "epochs": {"from": "blocks", "map": {1: 2, 2: 3}}}
    assert parse_spec({**values, "space": tied}).most_epochs == 3


@pytest.mark.parametrize("override", ["epochs", "=3", "name.x=3", "fixed.epoch=3"])
def test_a_wrong_override_is_refused(tmp_path, override):
    assert override.split("=")[0].split(".")[0] in refusal(tmp_path, GOOD, [override])


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_spec_is_valid_and_comes_back_from_its_run(path):
    spec = load_spec(path)
    assert parse_spec(yaml.safe_load(spec.to_yaml())) == spec


def test_plain_variants_are_the_second_studys_three_models():
    spec = load_spec(SPECS / "plain_variants.yaml")
    space = spec.search_space
    configs = [spec.config(space.at(point), seed=0) for point in space.grid()]
    assert [(one.stages, one.kernel_size) for one in configs] == [(3, 3), (3, 4), (4, 3)]
    assert {(one.epochs, one.optimizer, one.learning_rate) for one in configs} == {
        (3, "adam", 0.001)
    }


def test_resnet_grid_is_study_as_twelve_models():
    spec = load_spec(SPECS / "resnet_grid.yaml")
    space = spec.search_space
    names = {spec.config(space.at(point), seed=0).name for point in space.grid()}
    expected = {
        f"B{channels}_N{blocks}_FC{layers}_K{kernel}_AP20"
        for kernel in (3, 5, 7)
        for blocks, layers in ((4, 1), (8, 2))
        for channels in (16, 32)
    }
    assert names == expected


def test_quick_has_at_least_two_values_of_each_of_the_five_hyperparameters():
    space = load_spec(SPECS / "quick.yaml").space
    five = ("kernel_size", "blocks", "channels", "fc_layers", "conv_depth")
    assert all(len(space[name]) >= 2 for name in five)


def test_what_is_left_out_has_these_defaults(tmp_path):
    """Frozen: a run of old must mean the same."""
    assert yaml.safe_load(load_spec(write(tmp_path, GOOD)).to_yaml()) == {
        "name": "small",
        "data": "data/none",
        "objective": {"metric": "val_accuracy", "mode": "max", "at": "best"},
        "fixed": {"family": "resnet", "learning_rate": 0.001, "epochs": 2},
        "space": {"kernel_size": [3, 5], "blocks": [1, 2]},
        "searcher": {"name": "grid", "samples": None, "population": None},
        "scheduler": {
            "name": "none", "grace_period": 1, "reduction_factor": 3, "min_trials": 3,
        },
        "folds": None,
        "repeats": 1,
        "replicates": 1,
        "finalists": 5,
        "seed": 0,
        "resources": "auto",
        "retries": 2,
        "budget": {"hours": None, "device_hours": None},
        "fuse": "auto",
        "keep": "best",
        "first": [],
        "warm_start": None,
        "loggers": [],
    }  # fmt: skip
    given = load_spec(write(tmp_path, GOOD), ["resources={trials_at_once: 3}"]).resources
    assert (given.cpus, given.gpus, given.trials_at_once) == (1, 0, 3)


@pytest.mark.parametrize(
    ("least", "too_small"),
    [
        ("searcher={name: random, samples: 1}", "searcher={name: random, samples: 0}"),
        ("searcher={name: nsga2, samples: 9, population: 2}",
         "searcher={name: nsga2, samples: 9, population: 1}"),
        ("scheduler.grace_period=1", "scheduler.grace_period=0"),
        ("scheduler.reduction_factor=2", "scheduler.reduction_factor=1"),
        ("scheduler.min_trials=1", "scheduler.min_trials=0"),
        ("folds=2", "folds=1"),
        ("folds=1000", "folds=1001"),
        ("repeats=1", "repeats=0"),
        ("repeats=100", "repeats=101"),
        ("replicates=1", "replicates=0"),
        ("finalists=1", "finalists=0"),
        ("seed=0", "seed=-1"),
        ("retries=0", "retries=-1"),
        ("budget.hours=0.001", "budget.hours=0"),
        ("budget.device_hours=0.001", "budget.device_hours=0"),
        ("resources={cpus: 0.5}", "resources={cpus: 0}"),
        ("resources={gpus: 0}", "resources={gpus: -0.5}"),
        ("resources={trials_at_once: 1}", "resources={trials_at_once: 0}"),
        ("name=9._-a", "name=-a"),
        ("scheduler={name: hyperband, brackets: 1}", "scheduler={name: hyperband, brackets: 0}"),
        ("limits.latency_ms=0.001", "limits.latency_ms=0"),
        ("limits.mflop=0.001", "limits.mflop=0"),
        ("notify.url=$A_1", "notify.url=$1A"),
    ],
)  # fmt: skip
def test_each_number_has_its_bounds(tmp_path, least, too_small):
    load_spec(write(tmp_path, GOOD), [least])
    refusal(tmp_path, GOOD, [too_small])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("epochs", "--set takes key=value, but got 'epochs', for example fixed.epochs=3"),
        ("=3", "--set takes key=value, but got '=3'"),
        ("seed=3.5", "seed: "),
        ("keep=some", "'best' or 'all', but got 'some'"),
        ("fuse=true", "fuse: "),
        ("fuse=yes", "--set fuse=yes: yes could be a truth value or a name"),
        ("fixed.epochs=1:30", "1:30 would be read as a number in base 60"),
        ("fixed.seed=3", "seed is set by the sweep, not under fixed or space"),
        ("space.fold=[0, 1]", "fold is set by the sweep"),
        ("fixed.folds=3", "folds is set by the sweep"),
        ("fixed.kernel_size=0", "kernel_size"),
        ("space.learning_rate={low: 1e-3, high: 20}", "learning_rate"),
        (
            "space.blocks={1: {epochs: [2]}, 2: {channels: [4]}}",
            "epochs stands under fixed and under space",
        ),
    ],
)
def test_an_override_that_breaks_a_rule_is_refused(tmp_path, override, message):
    assert message in refusal(tmp_path, GOOD, [override])


def test_a_later_override_wins_and_a_value_may_hold_an_equals_sign(tmp_path):
    spec = load_spec(write(tmp_path, GOOD), ["data=a", "data=b=c", "seed=3", "seed=4"])
    assert (spec.data, spec.seed) == ("b=c", 4)
    assert override_spec(spec, ["retries=9", "data=d"]) == spec.model_copy(
        update={"retries": 9, "data": "d"}
    )
    assert override_spec(spec, []) == spec
    assert override_spec(spec, ["retries=9", "retries=4"]).retries == 4


def test_a_branch_on_a_number_comes_back_as_a_number(tmp_path):
    text = GOOD.replace("blocks: [1, 2]", "blocks: {1: {channels: [4, 8]}, 2: {channels: [4]}}")
    spec = load_spec(write(tmp_path, text))
    assert load_spec(write(tmp_path, spec.to_yaml())) == spec
    assert len(list(spec.search_space.grid())) == 2 * 3


def test_the_fold_is_the_last_dimension_and_counts_on_through_repeats():
    none = {"scheduler": {"name": "none"}}
    spec = small_spec(**none, folds=3, repeats=2, space={"kernel_size": [5, 3]})
    points = [tuple(point.values()) for point in spec.search_space.grid()]
    assert points == [(kernel, fold) for kernel in (5, 3) for fold in range(6)]
    config = spec.config({"kernel_size": 5, "fold": 4}, seed=7)
    assert (config.fold, config.folds, config.seed, config.epochs) == (4, 3, 7, 9)
    assert config.kernel_size == 5


def test_a_chosen_value_wins_over_a_fixed_one():
    assert small_spec().config({"kernel_size": 7, "epochs": 2}, seed=1).epochs == 2


@pytest.mark.parametrize(
    ("objective", "ok"),
    [
        (
            [{"metric": "val_loss", "mode": "min"}, {"metric": "device_seconds", "mode": "min"}],
            True,
        ),
        ({"metric": "device_seconds", "mode": "min"}, False),
        ({"metric": "parameters"}, False),
    ],
)
def test_a_cost_is_a_further_objective_and_better_when_smaller(objective, ok):
    values = {**SPEC, "scheduler": {"name": "none"}, "objective": objective}
    if ok:
        assert parse_spec(values).objective.metric == "val_loss"
    else:
        with pytest.raises(SpecError, match="objective"):
            parse_spec(values)


def test_a_refusal_names_the_line_of_the_key_and_not_of_its_namesake(tmp_path):
    text = GOOD.replace("name: grid", "name: grid\n  # a remark\n  samples: none")
    assert "line 10" in refusal(tmp_path, text)
    assert "line 1)" in refusal(tmp_path, GOOD.replace("name: small", "name: 7"))
    with pytest.raises(SpecError, match=r"cannot read .*nowhere.yaml: No such file"):
        load_spec(tmp_path / "nowhere.yaml")
    assert "must hold keys and values" in refusal(tmp_path, "- a\n")


def test_a_spec_is_written_in_its_own_order_which_is_that_of_the_grid(tmp_path):
    spec = small_spec(space={"kernel_size": [5, 3], "channels": [8, 4], "blocks": [2, 1]})
    written = yaml.safe_load(spec.to_yaml())
    assert list(written)[:4] == ["name", "data", "objective", "fixed"]
    assert list(written["space"]) == ["kernel_size", "channels", "blocks"]
    again = load_spec(write(tmp_path, spec.to_yaml()))
    assert list(again.search_space.grid()) == list(spec.search_space.grid())


def test_an_exponent_without_a_point_is_a_number_in_an_override_too(tmp_path):
    spec = load_spec(write(tmp_path, GOOD), ["fixed.learning_rate=2e-3"])
    assert spec.fixed["learning_rate"] == 0.002
    assert override_spec(spec, ["fixed.learning_rate=5E-4"]).fixed["learning_rate"] == 0.0005


def test_as_many_folds_as_the_dataset_has_are_the_datasets_own():
    none = {"scheduler": {"name": "none"}}
    assert small_spec(**none, folds=10).config({"fold": 3}, seed=1).folds is None
    assert small_spec(**none, folds=9).config({"fold": 3}, seed=1).folds == 9


def test_a_file_that_is_no_text_is_refused(tmp_path):
    (tmp_path / "spec.yaml").write_bytes(b"name: \xff\n")
    with pytest.raises(SpecError, match="is not valid YAML"):
        load_spec(tmp_path / "spec.yaml")


def test_an_unknown_hyperparameter_of_a_branch_is_refused_with_its_own_line(tmp_path):
    text = GOOD.replace(
        "blocks: [1, 2]", "conv_depth:\n    1: {channels: [4]}\n    2: {block: [4]}"
    )
    message = refusal(tmp_path, text)
    assert "'block' is not a key of space; the nearest one is 'blocks'" in message
    assert "line 8" in message


def test_a_recorded_run_keeps_a_url_that_is_refused_now(tmp_path):
    text = GOOD.replace("data/none", "'s3://me:secret@sweeps/data'")
    assert load_spec(write(tmp_path, text), recorded=True).data == "s3://me:secret@sweeps/data"
    assert read_spec(tmp_path).data == "s3://me:secret@sweeps/data"
    refusal(tmp_path, text)


def test_a_key_that_resembles_none_gets_the_nearest_one_too(tmp_path):
    assert "'zzz' is not a key of the spec; the nearest one is" in refusal(
        tmp_path, f"{GOOD}zzz: 1\n"
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('replicates: "3"', "replicates: input should be a valid integer, but got '3'"),
        ("seed: true", "seed: input should be a valid integer, but got True"),
        ("data: 7", "data: input should be a valid string, but got 7"),
    ],
)
def test_a_value_of_another_type_is_refused_and_not_converted(tmp_path, line, message):
    key = line.partition(":")[0]
    lines = [old for old in GOOD.splitlines() if not old.startswith(f"{key}:")]
    text = "\n".join([*lines, line, ""])
    assert refusal(tmp_path, text) == f"{message} ({tmp_path}/spec.yaml, line {len(lines) + 1})"


def test_a_namesake_in_another_part_does_not_lend_its_line(tmp_path):
    assert "searcher.name: input should be" in refusal(
        tmp_path, GOOD.replace("name: grid", "name: 7")
    )
    assert "line 8)" in refusal(tmp_path, GOOD.replace("name: grid", "name: 7"))


@pytest.mark.parametrize(
    ("part", "key", "wrong"),
    [
        ("resources", "cpus", "{cpu: 1}"), ("notify", "command", "{comand: $A}"),
        ("limits", "mflop", "{mflops: 5}"), ("budget", "hours", "{hour: 5}"),
        ("scheduler", "brackets", "{name: hyperband, bracket: 1}"),
    ],
)  # fmt: skip
def test_a_misspelt_key_of_a_part_is_refused_with_the_nearest_one(tmp_path, part, key, wrong):
    message = refusal(tmp_path, f"{GOOD}{part}: {wrong}\n")
    assert f"is not a key of {part}; the nearest one is '{key}' " in message
    assert "line 9)" in message


def test_a_wrong_value_of_resources_is_named_by_its_path_in_the_spec(tmp_path):
    message = refusal(tmp_path, f"{GOOD}resources: {{cpus: 0}}\n")
    assert message.startswith("resources.cpus: input should be greater than 0, but got 0 (")


def test_a_searched_hyperparameter_can_be_fixed_where_nothing_was_fixed_before(tmp_path):
    text = GOOD.replace("fixed: {family: resnet, learning_rate: 1e-3, epochs: 2}\n", "")
    spec = load_spec(write(tmp_path, text), ["space.channels=[4, 8]", "fixed.blocks=1"])
    assert (spec.fixed, spec.space) == ({"blocks": 1}, {"kernel_size": [3, 5], "channels": [4, 8]})
