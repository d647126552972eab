"""The data of a run: what stands for them in trial ids, and where they are on a node."""

import numpy as np
import pytest

from data_prep.manifest import MANIFEST_FILE
from data_prep.reader import read_dataset
from fairsweep.errors import MissingFileError, UserError
from tests.support.discs import write_dataset
from tests.support.sweeps import small_spec
from tune.session.data import classes_of, fingerprint_of, open_data, path_on_node
from tune.session.store import STAGE


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    place = tmp_path_factory.mktemp("data") / "discs"
    write_dataset(place)
    return place


def spec_of(data, **changes):
    return small_spec().model_copy(update={"data": str(data), **changes})


def test_a_dataset_stands_in_ids_by_its_content_and_other_data_by_their_path(place):
    dataset = read_dataset(place)
    assert fingerprint_of(spec_of(place), dataset) == dataset.manifest.fingerprint
    assert fingerprint_of(spec_of("/some/where"), None) == "path /some/where"
    assert classes_of(dataset) == tuple(dataset.manifest.classes)
    assert list(classes_of(dataset)) != sorted(classes_of(dataset))
    assert classes_of(None) == ()


def test_a_dataset_whose_content_has_changed_is_refused(place, tmp_path):
    fingerprint = read_dataset(place).manifest.fingerprint
    assert open_data(spec_of(place)).manifest.fingerprint == fingerprint
    changed = tmp_path / "changed"
    changed.mkdir()
    for file in place.iterdir():
        (changed / file.name).write_bytes(file.read_bytes())
    manifest = changed / MANIFEST_FILE
    text = manifest.read_text("utf-8")
    manifest.write_text(text.replace(fingerprint, "0" * len(fingerprint)), "utf-8")
    with pytest.raises(UserError, match="fingerprint"):
        open_data(spec_of(changed))


def test_own_training_code_reads_what_it_likes_and_a_path_must_exist(place, tmp_path):
    assert open_data(spec_of("", train="code:train")) is None
    assert open_data(spec_of(tmp_path, train="code:train")) is None
    assert open_data(spec_of(place, train="code:train")) is not None
    with pytest.raises(MissingFileError, match="there is nothing at"):
        open_data(spec_of(tmp_path / "gone", train="code:train"))


def test_own_training_code_may_read_a_url_that_is_no_dataset_of_ours(place, tmp_path):
    (tmp_path / "other").mkdir()
    assert open_data(spec_of((tmp_path / "other").as_uri(), train="code:train")) is None
    assert open_data(spec_of(place.as_uri(), train="code:train")) is not None


def test_a_node_reads_its_own_copy_of_a_dataset_only_if_it_is_staged(place, tmp_path, monkeypatch):
    monkeypatch.delenv(STAGE, raising=False)
    fingerprint = read_dataset(place).manifest.fingerprint
    assert path_on_node(None, fingerprint) is None
    assert path_on_node(str(place), fingerprint) == str(place)
    monkeypatch.setenv(STAGE, str(tmp_path / "disk"))
    copy = path_on_node(str(place), fingerprint)
    assert copy.startswith(str(tmp_path / "disk"))
    pixels = read_dataset(place).pixels
    assert np.array_equal(read_dataset(tmp_path / copy).pixels, pixels)
    assert path_on_node(str(place), None) == str(place), "other data are not copied"
