"""Networks of timm as a family: arguments, weights, training, resume and export."""

import itertools
import json

import pytest
import torch

from fairsweep.errors import UserError
from models.build import check_network
from models.file_hash import content_hash
from models.pretrained import PretrainedError
from tests.support.equal_runs import assert_equal_end
from tests.support.in_process import (
    few_pictures_fixture,  # noqa: F401 - used by name
    resume,
    start,
)
from tests.support.timm_weights import weights_fixture  # noqa: F401 - used by name
from tune.__main__ import main
from tune.session.chores import Chores
from tune.session.run_directory import read_spec
from tune.session.status import read_sweep
from tune.sweep.spec import SpecError, load_spec

timm = pytest.importorskip("timm", reason="timm is not installed: pip install 'fairsweep[timm]'")

SPEC = """
name: timm
data: {data}
fixed: {{family: "timm:test_resnet", epochs: 2, batch_size: 64}}
space: {{drop_rate: [0.0, 0.2]}}
"""


@pytest.fixture(name="folder")
def folder_fixture(tmp_path, monkeypatch, few_pictures):
    (tmp_path / "spec.yaml").write_text(SPEC.format(data=few_pictures))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def config_of(folder, *overrides):
    spec = load_spec(folder / "spec.yaml", overrides)
    return spec.config(next(iter(spec.search_space.grid())), seed=0)


def test_arguments_of_the_class_are_hyperparameters_with_columns_and_in_the_name(folder):
    run, sweep = start(load_spec(folder / "spec.yaml", ["fixed.epochs=1"]), folder / "runs")
    spec = read_spec(run)
    network = spec.networks["timm:test_resnet"]
    assert network.hash == f"timm {timm.__version__}"
    assert {"drop_path_rate", "zero_init_last"} <= network.arguments.hyperparameters.keys()
    assert [(t.status, t.config["drop_rate"]) for t in sweep.trials.values()] == [
        ("COMPLETED", 0.0),
        ("COMPLETED", 0.2),
    ]
    names = [spec.name_of(spec.read_config(t.config)) for t in sweep.trials.values()]
    assert names == ["test_resnet_drop_rate=0.0", "test_resnet_drop_rate=0.2"]
    facts = {t.config["pretrained"] for t in sweep.trials.values()}
    assert facts == {"none"}


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("fixed.family=timm:resnet81", r"no network 'resnet81'; close matches are resnet\d+.*line"),
        ("fixed.family=timm:hf-hub:a/b", "timm has no network 'hf-hub:a/b'"),
        ("fixed.drop_raet=0.1", "'drop_raet' is not a key of fixed; the nearest one is"),
        ("fixed.drop_path_rate=many", "drop_path_rate must be a number, but got 'many'"),
        ("fixed.norm_layer=x", "norm_layer of timm:test_resnet cannot be set in a spec"),
        ("fixed.pretrained=imagenet", "write true for the weights that timm names first"),
        ("fixed.pretrained=no.pth", r"path of a file.*'no\.pth', and there is no such file"),
    ],
)
def test_wrong_names_and_values_are_told_before_anything_is_built(folder, override, words):
    key, _, value = override.partition("=")
    with pytest.raises(UserError, match=words) as refused:
        load_spec(folder / "spec.yaml", [f'{key}="{value}"'])
    assert "\n" not in str(refused.value)


def test_without_timm_the_way_out_is_told(folder, monkeypatch):
    from importlib.metadata import PackageNotFoundError

    def missing(_name):
        raise PackageNotFoundError

    monkeypatch.setattr("models.timm_network.version", missing)
    with pytest.raises(
        SpecError, match=r"not installed; install it with `pip install 'fairsweep\["
    ):
        load_spec(folder / "spec.yaml")


def test_the_content_of_a_file_of_weights_decides_the_id_and_its_place_does_not(folder, weights):
    first, other = (folder / name for name in ("a.pth", "b.pth"))
    for path in (first, other):
        path.write_bytes(weights[0].read_bytes())
    ids = [config_of(folder, f"fixed.pretrained={p}").configuration_id for p in (first, other)]
    assert ids[0] == ids[1]
    assert load_spec(folder / "spec.yaml", ["fixed.pretrained=a.pth"]).fixed["pretrained"] == (
        f"{first}#{content_hash(first)}"
    )
    branch = "space.family={'timm:test_resnet': {pretrained: [none, a.pth]}}"
    assert load_spec(folder / "spec.yaml", [branch]).space["family"] == {
        "timm:test_resnet": {"pretrained": ["none", f"{first}#{content_hash(first)}"]}
    }
    torch.save({"a": torch.ones(1)}, other)
    changed = config_of(folder, f"fixed.pretrained={other}")
    assert changed.configuration_id not in ids
    with pytest.raises(PretrainedError, match=r"b\.pth does not hold the weights of timm's test_"):
        check_network(changed, classes=4, image_shape=(48, 48))
    assert config_of(folder).configuration_id not in ids
    torch.save({"a": torch.ones(2)}, other)
    with pytest.raises(PretrainedError, match=r"b\.pth has changed since the sweep began"):
        check_network(changed, classes=4, image_shape=(48, 48))


def test_another_network_s_weights_are_refused_before_there_is_a_run(folder, capsys):
    torch.save(timm.create_model("test_vit").state_dict(), folder / "vit.pth")
    assert main(["run", "spec.yaml", "--set", "fixed.pretrained=vit.pth"]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert "vit.pth does not hold the weights of timm's test_resnet" in told
    assert not (folder / "runs").exists()


def test_the_version_of_timm_is_part_of_the_id_and_a_resume_needs_it(folder, monkeypatch):
    run, _ = start(load_spec(folder / "spec.yaml", ["fixed.epochs=1"]), folder / "runs")
    before = config_of(folder).configuration_id
    monkeypatch.setattr("models.timm_network.version", lambda _name: "1.9.9")
    assert config_of(folder).configuration_id != before
    words = rf"with timm {timm.__version__}, but timm 1\.9\.9 is inst.*pip install timm=="
    with pytest.raises(UserError, match=words):
        resume(run)
    assert read_sweep(run).finished, "reading needs no timm"


class Killed(BaseException):
    pass


@pytest.mark.long
def test_a_sweep_that_is_cut_off_ends_like_an_untouched_one(folder, weights, monkeypatch):
    overrides = [
        f"fixed.pretrained={weights[0]}", "fixed.drop_path_rate=0.1", "fixed.epochs=3",
        "space.drop_rate=[0.2]",
    ]  # fmt: skip
    whole, _ = start(load_spec(folder / "spec.yaml", overrides), folder / "whole")
    steps, do = itertools.count(1), Chores.do

    def die_at_the_second(chores):
        do(chores)
        if next(steps) == 2:
            raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(Chores, "do", die_at_the_second)
        with pytest.raises(Killed):
            start(load_spec(folder / "spec.yaml", overrides), folder / "cut")
    cut = folder / "cut" / "timm"
    measured = sum(len(trial.measurements) for trial in read_sweep(cut).trials.values())
    assert 0 < measured < 3
    resume(cut)
    assert_equal_end(cut, whole)


@pytest.mark.long
def test_a_run_can_be_exported(folder):
    overrides = ["fixed.epochs=1", "space.drop_rate=[0.1]"]
    run, _ = start(load_spec(folder / "spec.yaml", overrides), folder / "runs")
    assert main(["export", str(run), "--out", "winner"]) == 0
    assert json.loads((folder / "winner" / "model.json").read_text())["compared_pictures"] > 10
