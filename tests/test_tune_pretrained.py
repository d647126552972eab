"""Sweeps over pretrained networks: files pinned in the spec, refusals before a run is there."""

import shutil
from urllib.error import URLError

import pytest
import yaml

from data_prep.reader import read_dataset
from fairsweep.errors import UserError
from models.file_hash import content_hash
from tests.support.discs import dataset
from tune.__main__ import main
from tune.session.session import _require_weights
from tune.sweep.spec import SpecError, load_spec, override_spec, parse_spec

SPEC = {
    "name": "small",
    "data": "faces",
    "fixed": {"family": "torchvision"},
    "space": {"frozen_stages": [0, 2]},
}


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "a.pth").write_text("no weights")
    return tmp_path


@pytest.mark.parametrize(
    ("part", "entry"),
    [
        ("fixed", "a.pth"),
        ("space", ["none", "a.pth"]),
        ("space", {"from": "frozen_stages", "map": {0: "none", 2: "a.pth"}}),
        ("space", {"none": {"batch_size": [4, 8]}, "a.pth": {"batch_size": [4, 8]}}),
    ],
)
def test_a_spec_names_weights_by_whole_path_and_content(folder, part, entry):
    spec = parse_spec({**SPEC, part: {**SPEC[part], "pretrained": entry}})
    pinned = f"{folder / 'a.pth'}#{content_hash(folder / 'a.pth')}"
    told = str(yaml.safe_load(spec.to_yaml())[part]["pretrained"])
    assert told == str(entry).replace("a.pth", pinned)
    (folder / "a.pth").unlink()
    assert override_spec(spec, ["seed=0"]) == spec


def test_a_file_that_is_not_there_is_refused_with_its_line(folder):
    (folder / "spec.yaml").write_text(yaml.safe_dump({**SPEC, "space": {"pretrained": ["b.pth"]}}))
    with pytest.raises(SpecError, match=r"got 'b\.pth', and there is no such file \(spec\.yaml"):
        load_spec(folder.joinpath("spec.yaml").relative_to(folder))


def test_a_training_that_starts_from_a_checkpoint_needs_no_pretrained_weights(folder):
    manifest = read_dataset(dataset()).manifest
    fixed = {**SPEC["fixed"], "pretrained": str(folder / "a.pth")}
    with pytest.raises(UserError, match="damaged or not a weights file"):
        _require_weights(parse_spec({**SPEC, "fixed": fixed}), manifest)
    fixed["initial"] = content_hash(folder / "a.pth")
    _require_weights(parse_spec({**SPEC, "fixed": fixed}), manifest)


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("fixed.pretrained=imagenet", "cannot download the weights of resnet18"),
        ("fixed.pretrained=a.pth", "a.pth is damaged or not a weights file"),
        ("fixed.architecture=resnet81", "architecture must be one of torchvision's"),
    ],
)
def test_what_cannot_start_is_refused_before_there_is_a_run(
    folder, monkeypatch, capsys, synthetic_dataset, override, message
):
    def refuse(*_arguments, **_options):
        raise URLError("no route")

    monkeypatch.setenv("TORCH_HOME", str(folder / "home"))
    monkeypatch.setattr("torch.hub.urlopen", refuse)
    shutil.copytree(synthetic_dataset, folder / "faces")
    (folder / "spec.yaml").write_text(yaml.safe_dump(SPEC))
    assert main(["run", "spec.yaml", "--set", override]) == 2
    assert message in capsys.readouterr().err
    assert not (folder / "runs").exists()
