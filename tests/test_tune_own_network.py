"""Own networks: named in a spec, checked, trained, resumed and never imported without trust."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest

from analysis.__main__ import main as analyse
from fairsweep.errors import UserError
from tests.support.equal_runs import assert_equal_end
from tests.support.in_process import (
    extend,
    few_pictures_fixture,  # noqa: F401 - used by name
    kfold,
    resume,
    retrain,
    start,
)
from tests.support.ledgers import read_lines
from tune.commands.predict import find_weights
from tune.commands.retrain import Request
from tune.commands.test import open_test
from tune.run.directory import CODE_DIR, SPEC_FILE, TRIALS_FILE
from tune.session.run_directory import read_spec
from tune.session.status import read_sweep
from tune.sweep.spec import load_spec, override_spec

NETS = """
from typing import Literal
import torch
from torch import nn
from mynets.blocks import block

class MyNet(nn.Module):
    def __init__(self, classes: int, image_channels: int, *, width: int = 4, depth: int = 1,
                 dropout: float = 0.1, last: Literal["mean", "max"] = "mean",
                 channels: str = "few"):
        super().__init__()
        layers = [block(image_channels if i == 0 else width, width) for i in range(depth)]
        self.features = nn.Sequential(*layers)
        self.last, self.dropout = last, nn.Dropout(dropout)
        self.head = nn.Linear(width, classes)

    def forward(self, x):
        x = self.features(x).flatten(2)
        x = x.mean(2) if self.last == "mean" else x.amax(2)
        return self.head(self.dropout(x))
"""
BLOCKS = """
from torch import nn

def block(inputs, outputs):
    convolution = nn.Conv2d(inputs, outputs, 3, stride=2)
    return nn.Sequential(convolution, nn.BatchNorm2d(outputs), nn.ReLU())
"""
SPEC = """
name: own
data: {data}
fixed: {{family: mynets.nets:MyNet, epochs: 2, batch_size: 64, learning_rate: 0.01}}
space: {{width: [2, 4], depth: [1, 2]}}
seed: 1
"""


@pytest.fixture(name="folder")
def folder_fixture(tmp_path, monkeypatch, few_pictures):
    """The user's folder, with a package and a spec; it is the current folder."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = tmp_path / "mine"
    (folder / "mynets").mkdir(parents=True)
    (folder / "mynets" / "nets.py").write_text(NETS)
    (folder / "mynets" / "blocks.py").write_text(BLOCKS)
    (folder / "spec.yaml").write_text(SPEC.format(data=few_pictures))
    monkeypatch.chdir(folder)
    return folder


def run_spec(folder, *overrides):
    return start(load_spec(folder / "spec.yaml", overrides), folder / "runs")


def configs(spec):
    space = spec.search_space
    return [spec.config(space.at(point), seed=0) for point in space.grid()]


def change(folder):
    blocks = folder / "mynets" / "blocks.py"
    blocks.write_text(blocks.read_text().replace("ReLU", "GELU"))


def test_the_arguments_of_an_own_network_are_hyperparameters_with_columns(folder):
    run, sweep = run_spec(folder)
    assert sweep.finished
    table = pq.read_table(run / TRIALS_FILE)
    assert table["status"].to_pylist() == ["COMPLETED"] * 4
    assert table["width"].to_pylist() == [2, 2, 4, 4]
    assert set(table["last"].to_pylist()) == {"mean"}
    assert set(table["channels"].to_pylist()) == {"few"}
    assert table["name"].to_pylist()[1:3] == ["MyNet_depth=2_width=2", "MyNet"]
    assert len(set(table["parameters"].to_pylist())) == 4
    assert analyse(["table", str(run), "--by", "width"]) == 0


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("fixed.widht=3", "'widht' is not a key of fixed; the nearest one is 'width'"),
        ("space.width=[1.5, 2]", r"width must be a whole number, but got 1\.5"),
        ("fixed.last=mena", "last must be one of mean, max, but got 'mena'; the nearest is 'mean'"),
        ("fixed.kernel_size=3", "'kernel_size' is not a hyperparameter of mynets.nets:MyNet"),
        ("fixed.family=mynets.nets:MyNett", "no 'MyNett'; the nearest is 'MyNet'.*line 4"),
        ("fixed.family=mynets.nest:MyNet", "no module mynets.nest in .*start the command in"),
        ("space.family=[resnet, 'mynets.nets:MyNett']", r"^space\.family: .*no 'MyNett'"),
        ("fixed.code=x", "code 'x' is not the hash of mynets.nets:MyNet"),
    ],
)
def test_hyperparameters_of_own_networks_are_checked(folder, override, words):
    with pytest.raises(UserError, match=words):
        load_spec(folder / "spec.yaml", [override])


def test_a_misspelt_hyperparameter_does_not_vanish_in_the_keyword_arguments_of_a_network(folder):
    (folder / "mynets" / "nets.py").write_text("def MyNet(classes, width=1, depth=1, **more): pass")
    load_spec(folder / "spec.yaml")
    with pytest.raises(UserError, match="'widht' is not a key of fixed; the nearest one is"):
        load_spec(folder / "spec.yaml", ["fixed.widht=3"])
    with pytest.raises(UserError, match="'kernel_size' is not a hyperparameter of mynets"):
        load_spec(folder / "spec.yaml", ["fixed.kernel_size=3"])


def test_pretrained_of_an_own_network_is_no_file_of_ours(folder):
    (folder / "mynets" / "nets.py").write_text("def MyNet(classes, pretrained: str = ''): pass")
    spec = load_spec(folder / "spec.yaml", ["space={pretrained: [mine.pth, yours.pth]}"])
    assert spec.space == {"pretrained": ["mine.pth", "yours.pth"]}


def test_a_spec_records_the_own_networks_that_it_names_and_no_other(folder):
    nets = folder / "mynets" / "nets.py"
    nets.write_text(f"{NETS}\nclass Other(MyNet):\n    pass\n")
    mine, other = (f"mynets.nets:{name}" for name in ("MyNet", "Other"))
    both = load_spec(folder / "spec.yaml", [f"space.family=['{mine}', '{other}']"])
    assert set(both.networks) == {mine, other}
    nets.unlink()
    one = override_spec(both, [f"space.family=['{other}']"])
    assert one.networks == {other: both.networks[other]}
    none = override_spec(both, ["fixed={family: resnet}", "space={kernel_size: [3, 5]}"])
    assert none.networks == {}
    with pytest.raises(UserError, match="'width' is not a key of fixed"):
        override_spec(none, ["fixed.width=4"])


@pytest.mark.parametrize("name", ["learning_rate", "seed", "status"])
def test_an_argument_with_a_name_of_the_training_or_of_a_column_is_refused(folder, name):
    (folder / "mynets" / "nets.py").write_text(f"def MyNet(classes, {name}: int = 3): pass")
    with pytest.raises(UserError, match=f"MyNet has an argument {name}, .*rename it"):
        load_spec(folder / "spec.yaml")


def test_ids_depend_on_the_content_of_the_files_and_on_nothing_else_of_them(folder, monkeypatch):
    first = [config.configuration_id for config in configs(load_spec(folder / "spec.yaml"))]
    moved = shutil.copytree(folder, folder.parent / "moved")
    monkeypatch.chdir(moved)
    (moved / "mynets" / "unused.py").write_text("1")
    assert [c.configuration_id for c in configs(load_spec(moved / "spec.yaml"))] == first
    change(moved)
    assert not {c.configuration_id for c in configs(load_spec(moved / "spec.yaml"))} & {*first}


def test_a_default_and_the_same_value_in_the_spec_are_one_configuration(folder):
    first = configs(load_spec(folder / "spec.yaml"))
    again = configs(load_spec(folder / "spec.yaml", ["fixed.last=mean", "fixed.dropout=0.1"]))
    assert first == again


def test_families_of_ours_and_own_ones_are_searched_together(folder):
    branches = "{resnet: {channels: [2], blocks: [1]}, 'mynets.nets:MyNet': {channels: [few]}}"
    spec = load_spec(folder / "spec.yaml", ["fixed={epochs: 1}", f"space={{family: {branches}}}"])
    run, _ = start(spec, folder / "runs")
    table = pq.read_table(run / TRIALS_FILE)
    assert table["family"].to_pylist() == ["resnet", "mynets.nets:MyNet"]
    assert table["channels"].to_pylist() == ["2", "few"]
    assert table["width"].to_pylist() == [None, 4]


def test_a_run_trains_with_its_own_copy_and_resume_says_that_files_have_changed(folder, capsys):
    run, sweep = run_spec(folder)
    change(folder)
    larger = extend(run, overrides=["replicates=2"])
    said = capsys.readouterr().err
    assert "mynets.nets:MyNet has changed since the run began (mynets/blocks.py)" in said
    assert "under another --name" in said
    assert len(larger.trials) == 8
    assert "ReLU" in (run / CODE_DIR / "mynets" / "blocks.py").read_text()
    assert {t.config["code"] for t in larger.trials.values()} == {
        t.config["code"] for t in sweep.trials.values()
    }
    (folder / "mynets" / "blocks.py").write_text("(")
    resume(run)
    assert "blocks.py, line 1: SyntaxError" in capsys.readouterr().err


def test_without_the_users_files_a_run_is_tested_predicted_and_derived(folder):
    run, sweep = run_spec(folder, "replicates=2", "finalists=1")
    shutil.rmtree(folder / "mynets")
    assert "test accuracy" in open_test(run)
    assert find_weights(run).is_file()
    derived, folds = kfold(run, folder / "runs", folds=2, repeats=1)
    assert folds.finished
    assert (derived / CODE_DIR / "mynets" / "nets.py").is_file()
    request = Request(run=run, sampling={}, trial_id="0", epochs=1)
    _, retrained = retrain(request, folder / "runs")
    assert retrained.finished
    codes = {t.config["code"] for s in (sweep, folds, retrained) for t in s.trials.values()}
    assert len(codes) == 1


def test_code_of_a_run_from_elsewhere_is_imported_only_with_the_users_word(folder, monkeypatch):
    text = (folder / "mynets" / "nets.py").read_text()
    mark = folder / "imported"
    (folder / "mynets" / "nets.py").write_text(f"open({str(mark)!r}, 'w').close()\n{text}")
    run = shutil.copytree(run_spec(folder)[0], folder / "sent")
    mark.unlink()
    monkeypatch.setenv("XDG_CONFIG_HOME", str(folder / "another user"))
    (folder / "mynets").rename(folder / "elsewhere")
    for command in (resume, extend, open_test, lambda run: kfold(run, folder, folds=2, repeats=1)):
        with pytest.raises(UserError, match=r"would import mynets\.nets:MyNet .* --trust-code"):
            command(run)
    assert read_sweep(run).finished
    assert analyse(["table", str(run)]) == 0
    with pytest.raises(UserError, match="no module mynets"):
        load_spec(run / SPEC_FILE)
    assert not mark.exists()
    assert "test accuracy" in open_test(run, trust_code=True)
    assert mark.exists()
    resume(run)


def test_a_home_that_cannot_be_written_keeps_no_trust_but_trains(folder, monkeypatch, capsys):
    monkeypatch.setenv("XDG_CONFIG_HOME", "/dev/null/config")
    run, sweep = run_spec(folder)
    assert sweep.finished
    assert resume(run).finished, "the code is still in the current folder"
    told = "/dev/null/config/fairsweep/trusted_code cannot be written (Not a directory), so a comm"
    assert capsys.readouterr().err.count(told) == 1
    (folder / "mynets").rename(folder / "elsewhere")
    with pytest.raises(UserError, match="--trust-code"):
        resume(run)
    assert resume(run, trust_code=True).finished


def test_a_copy_that_was_changed_is_not_imported(folder):
    run, _ = run_spec(folder)
    (run / CODE_DIR / "mynets" / "blocks.py").write_text("raise RuntimeError")
    with pytest.raises(UserError, match="restore the folder from a copy of the run"):
        resume(run)


def test_the_spec_of_a_run_records_the_code_and_other_specs_do_not_mention_it(folder):
    run, _ = run_spec(folder)
    (network,) = read_spec(run).networks.values()
    assert len(network.hash) == 32
    plain = load_spec(folder / "spec.yaml", ["fixed={family: resnet}", "space={blocks: [1]}"])
    assert "networks" not in plain.to_yaml()


LINEAR = """
import numpy as np
import torch
from torch import nn

class MyNet(nn.Module):
    def __init__(self, classes, at: int = 0):
        super().__init__()
        self.head = nn.LazyLinear(classes)
        self.steps = 0
        self.layer = nn.Conv2d(2, 2, 3)

    def forward(self, x):
        LINES
"""


def linear(folder, *lines):
    """Write a network with these lines in its forward pass, which begin at line 13."""
    text = LINEAR.replace("LINES", "\n        ".join(lines))
    (folder / "mynets" / "nets.py").write_text(text)
    return load_spec(folder / "spec.yaml", ["space={at: [0, 1]}", "retries=0", "fixed.epochs=3"])


def test_a_network_that_cannot_be_trained_is_told_before_a_file_is_written(folder):
    words = r"MyNet cannot be trained: mynets.nets:MyNet: mynets/nets.py, line 14, in forward: Runt"
    with pytest.raises(UserError, match=words):
        start(linear(folder, "return self.layer(x)"), folder / "runs")
    assert not (folder / "runs").exists()


def test_each_value_of_a_hyperparameter_is_tried_before_the_run(folder):
    (folder / "mynets" / "nets.py").write_text("def MyNet(at: int = 0): return [None][at]")
    with pytest.raises(UserError, match=r"MyNet cannot be trained: .* must return a torch\.nn\.Mo"):
        start(load_spec(folder / "spec.yaml", ["space={at: [0, 1]}"]), folder / "runs")
    (folder / "mynets" / "nets.py").write_text(
        NETS + "\n\ndef Net(classes, image_channels, at: int = 0): return [MyNet][at](classes, 1)"
    )
    overrides = ["space={at: [0, 1]}", "fixed.family=mynets.nets:Net"]
    with pytest.raises(UserError, match=r"Net_at=1 cannot.*in Net: IndexError: list index out"):
        start(load_spec(folder / "spec.yaml", overrides), folder / "runs")


def test_a_network_that_needs_the_plain_layout_is_trained_in_it(folder, capsys):
    lines = ["x = nn.functional.conv2d(x, torch.ones(4, 1, 3, 3))", "n = len(x)"]
    spec = linear(folder, *lines, "return self.head(x.view(n, -1))")
    run, sweep = start(spec, folder / "runs")
    assert "MyNet: mynets.nets:MyNet: mynets/nets.py, line 16, in f" in capsys.readouterr().err
    assert not read_spec(run).networks["mynets.nets:MyNet"].channels_last
    assert {trial.status for trial in sweep.trials.values()} == {"COMPLETED"}


def test_an_exception_in_training_fails_the_trial_with_the_users_lines(folder):
    lines = ["self.steps += self.training", "if self.steps == 9:", "    return self.stop()"]
    run, sweep = start(linear(folder, *lines, "return self.head(x.flatten(1))"), folder / "runs")
    trial = next(iter(sweep.trials.values()))
    assert trial.status == "FAILED"
    words = "mynets.nets:MyNet: mynets/nets.py, line 16, in forward: AttributeError: "
    assert trial.reason.startswith(words)
    text = (run / "errors" / f"{trial.id}.txt").read_text().splitlines()
    assert text[1:3] == ["  mynets/nets.py, line 16, in forward", "    return self.stop()"]


def test_the_example_of_the_documentation_can_be_swept(folder, few_pictures):
    guide = (Path(__file__).parents[1] / "docs" / "own_network.md").read_text()
    code, spec, _ = re.findall(r"```(?:python|yaml)\n(.*?)```", guide, re.DOTALL)
    (folder / "mynets.py").write_text(code)
    shutil.rmtree(folder / "mynets")
    (folder / "spec.yaml").write_text(spec)
    fewer = [f"data={few_pictures}", "fixed.epochs=1", "searcher.samples=2"]
    _, sweep = run_spec(folder, *fewer)
    assert {trial.status for trial in sweep.trials.values()} == {"COMPLETED"}


PATIENCE_SECONDS = 400


def in_ray(folder, *words, wait=True):
    environment = os.environ | {"PYTHONPATH": str(Path(__file__).parents[1])}
    process = subprocess.Popen(
        [sys.executable, "-m", "tune", *map(str, words)],
        cwd=folder,
        env=environment,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    if not wait:
        return process
    out, errors = process.communicate(timeout=PATIENCE_SECONDS)
    return process.returncode, out, errors


def kill_after(process, run, epochs):
    """SIGKILL the driver once the ledger has so many epochs; its workers end with it."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while time.monotonic() < deadline:
        done = (
            [line["event"] for line in read_lines(run)] if (run / "events.jsonl").exists() else []
        )
        if done.count("measurement") >= epochs:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            return
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    raise AssertionError("no epochs")


@pytest.mark.long
def test_a_killed_sweep_on_ray_ends_like_an_untouched_one(folder):
    words = ("run", "spec.yaml", "--set", "replicates=2", "--set", "fixed.epochs=4")
    more = ("--set", "resources={cpus: 1, trials_at_once: 1}", "--set", "finalists=2")
    assert in_ray(folder, *words, *more, "--name", "whole")[0] == 0
    process = in_ray(folder, *words, *more, "--name", "killed", wait=False)
    kill_after(process, folder / "runs" / "killed", 6)
    change(folder)
    process = in_ray(folder, "resume", "runs/killed", wait=False)
    kill_after(process, folder / "runs" / "killed", 14)
    code, _, errors = in_ray(folder, "resume", "runs/killed")
    assert code == 0, errors
    assert "has changed since the run began" in errors
    assert_equal_end(folder / "runs" / "killed", folder / "runs" / "whole")
