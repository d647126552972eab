from pathlib import Path

import pytest
import yaml

from tune.spec import SpecError, load_spec, parse_spec

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
    spec = load_spec(path, ["space.epochs=[3, 7]", "fixed.blocks=4"])
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
        ("[{metric: val_accuracy}, {metric: parameters}]", "parameters is a cost"),
        ("{metric: parameters, mode: min}", "must begin with a measured metric"),
        ("[{metric: val_loss, mode: min}, {metric: val_loss, mode: min}]", "each metric once"),
        ("[]", "at least 1"),
    ],
)
def test_a_wrong_objective_is_refused_with_its_line(tmp_path, objective, message):
    refused = refusal(tmp_path, f"{GOOD}objective: {objective}\n")
    assert message in refused
    assert "line 9" in refused


@pytest.mark.parametrize("override", ["epochs", "=3", "name.x=3", "fixed.epoch=3"])
def test_a_wrong_override_is_refused(tmp_path, override):
    assert override.split("=")[0].split(".")[0] in refusal(tmp_path, GOOD, [override])


@pytest.mark.parametrize("path", sorted(SPECS.glob("*.yaml")), ids=lambda path: path.stem)
def test_every_shipped_spec_is_valid_and_comes_back_from_its_run(path):
    spec = load_spec(path)
    assert parse_spec(yaml.safe_load(spec.to_yaml())) == spec


def test_plain_variants_are_study_bs_three_models():
    spec = load_spec(SPECS / "plain_variants.yaml")
    space = spec.search_space
    configs = [spec.config(space.at(point), seed=0) for point in space.grid()]
    assert [(one.conv_depth, one.kernel_size) for one in configs] == [(3, 3), (3, 4), (4, 3)]
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
