"""The reference of a spec: complete, true to what specs accept, and usable by editors."""

import json
from dataclasses import fields, replace
from functools import reduce
from pathlib import Path

import pytest
import yaml
from jsonschema import Draft202012Validator

from fairsweep.errors import UserError
from models.hyperparameters import Hyperparameters
from tune.__main__ import main
from tune.commands.keys import print_keys
from tune.sweep.reference import RECORDS, find_keys, hyperparameters, spec_keys, spec_schema
from tune.sweep.spec import SweepSpec, parse_spec

SPECS = sorted((Path(__file__).parents[1] / "tune" / "specs").glob("*.yaml"))
SMALLEST = {"name": "faces", "data": "data/faces", "space": {"kernel_size": [3, 5]}}
OF_OWN_CODE = "train"
"""The key whose example names code that does not exist."""


@pytest.mark.parametrize("name", [key for key in spec_keys() if key != OF_OWN_CODE])
def test_the_example_of_a_key_is_accepted_and_sets_it(name):
    example = yaml.safe_load(spec_keys()[name].example)
    told = reduce(lambda part, key: part[key], name.split("."), example)
    drawn = {} if name == "folds" else {"name": "random", "samples": 3}
    searcher = drawn | example.pop("searcher", {})
    spec = parse_spec({**SMALLEST, **example, "searcher": searcher}).model_dump()
    set_ = reduce(lambda part, key: part[key], name.split("."), spec)
    if not isinstance(told, dict | list):
        assert set_ == told


@pytest.mark.parametrize("name", hyperparameters())
def test_the_example_of_a_hyperparameter_is_accepted(name):
    key = hyperparameters()[name]
    example = yaml.safe_load(key.example)["fixed"]
    family = {"family": key.families[0]} if key.families else {}
    space = {"mixup": [0.1, 0.2]} if name != "mixup" else {"shift": [0.1, 0.2]}
    spec = parse_spec({**SMALLEST, "fixed": {**family, **example}, "space": space})
    assert spec.fixed[name] == example[name]


def test_every_key_and_hyperparameter_is_there_and_explained():
    tops = {name for name in spec_keys() if "." not in name}
    declared = {field.alias or name for name, field in SweepSpec.model_fields.items()}
    assert tops == declared - set(RECORDS)
    assert set(hyperparameters()) == {field.name for field in fields(Hyperparameters)}
    for key in (*spec_keys().values(), *hyperparameters().values()):
        assert key.meaning.endswith((".", ")")), key
        assert key.allowed, key
        assert "``" not in key.meaning, key


def test_a_default_is_the_one_that_a_spec_gets():
    spec = parse_spec({**SMALLEST, "resources": {}}).model_dump()
    for name, key in spec_keys().items():
        if key.default and name not in SMALLEST:
            value = reduce(lambda part, part_name: part[part_name], name.split("."), spec)
            assert yaml.safe_load(key.default) == value, name


def test_a_default_that_differs_between_families_is_told_for_each():
    assert hyperparameters()["blocks"].default == "4 (resnet), 2 (staged)"
    assert hyperparameters()["conv_depth"].default == "2"
    assert hyperparameters()["conv_depth"].families == ("resnet",)


def test_a_default_of_false_or_0_is_told_and_one_of_nothing_is_not():
    assert hyperparameters()["test_time_flip"].default == "false"
    assert spec_keys()["seed"].default == "0"
    assert spec_keys()["warm_start"].default == spec_keys()["data"].default == ""


def test_rules_are_told_in_words():
    told = {name: key.allowed for name, key in {**spec_keys(), **hyperparameters()}.items()}
    assert told["kernel_size"] == "a whole number from 1 to 11"
    assert told["learning_rate"] == "a number above 0 and at most 10"
    assert told["replicates"] == "a whole number of at least 1"
    assert told["resources.gpus"] == "a number of at least 0"
    assert told["searcher.name"].startswith("one of auto, grid, random, ")
    assert told["loggers"] == "a list, each one of tensorboard, mlflow, wandb"
    assert told["fc_width"] == "a whole number from 1 to 65536 or 'flat'"


@pytest.fixture(scope="module")
def validator():
    Draft202012Validator.check_schema(spec_schema())
    return Draft202012Validator(spec_schema())


@pytest.mark.parametrize("path", SPECS, ids=lambda path: path.stem)
def test_an_editor_accepts_the_specs_that_come_with_the_program(validator, path):
    assert list(validator.iter_errors(yaml.safe_load(path.read_text()))) == []


@pytest.mark.parametrize(
    "wrong",
    [
        {"epochs": 3},
        {"replicates": 0},
        {"searcher": {"name": "tpx"}},
        {"scheduler": {"name": "asha", "grace": 2}},
        {"fixed": {"kernel_size": 12}},
        {"objective": [{"metric": "accuracy"}]},
        {"networks": {}},
        {"searcher": {"name": "tpe", "reason": "mine"}},
    ],
)
def test_an_editor_marks_what_a_spec_may_not_hold(validator, wrong):
    assert list(validator.iter_errors(SMALLEST)) == []
    assert list(validator.iter_errors({**SMALLEST, **wrong}))


@pytest.mark.parametrize("short", ["tpe", {"name": "tpe", "samples": 3}])
def test_an_editor_accepts_the_short_form_too(validator, short):
    assert list(validator.iter_errors({**SMALLEST, "searcher": short})) == []
    assert list(validator.iter_errors({**SMALLEST, "objective": "val_loss"})) == []
    assert list(validator.iter_errors({**SMALLEST, "objective": {"metric": "val_loss"}})) == []


def test_a_key_brings_those_below_it():
    assert [key.name for key in find_keys("budget")] == [
        "budget", "budget.hours", "budget.device_hours",
    ]  # fmt: skip
    assert find_keys("fixed.epochs") == find_keys("epochs") == find_keys("space.epochs")
    with pytest.raises(UserError, match=r"'epoch' is neither a key.*the nearest is 'epochs'"):
        find_keys("epoch")


def test_a_table_of_keys_has_the_columns_that_its_head_names(capsys):
    (key,) = find_keys("retries")
    print_keys("Title", [replace(key, allowed="any", default="some", meaning="all")])
    *_, head, _, row = (line for line in capsys.readouterr().out.splitlines() if line.strip())
    assert head.split() == ["key", "values", "default", "meaning"]
    assert row.split() == ["retries", "any", "some", "all"]


def test_the_command_prints_tables_one_key_or_the_schema(capsys):
    assert main(["keys"]) == 0
    said = capsys.readouterr().out
    assert all(name in said for name in ("Keys of a spec", "warm_start", "label_smoothing"))
    assert main(["keys", "learning_rate"]) == 0
    said = capsys.readouterr().out
    assert "values: a number above 0 and at most 10\n  default: 0.001\n" in said
    assert "    fixed:\n      learning_rate: 0.001" in said
    assert main(["keys", "retries"]) == 0
    assert "used by" not in capsys.readouterr().out
    assert main(["keys", "budget"]) == 0
    said = capsys.readouterr().out.splitlines()
    assert [line for line in said if line.startswith("budget")] == [
        key.name for key in find_keys("budget")
    ]
    assert main(["keys", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == spec_schema()
    assert main(["keys", "rate"]) == 2


def test_a_key_that_may_be_a_name_alone_says_so_and_its_parts_do_not():
    keys = spec_keys()
    assert keys["scheduler"].allowed.startswith("a name, or ")
    alone = {name for name, key in keys.items() if "a name, or " in key.allowed}
    assert alone == {"searcher", "scheduler", "objective"}


def test_keys_below_a_key_are_told_instead_of_a_default_of_it_and_records_are_not_told():
    keys = spec_keys()
    above = {name.rpartition(".")[0] for name in keys if "." in name}
    assert {"budget", "objective", "searcher"} <= above
    assert {keys[name].default for name in above} == {""}
    assert {"objective.metric", "objective.mode", "objective.at"} <= keys.keys()
    assert not set(RECORDS) & keys.keys()
