"""Files that a derived run carries with it."""

from models.file_hash import content_hash
from tune.run.directory import GROUPS_FILE, INITIAL_FILE
from tune.session.carried import Carried, carried_groups


def test_each_file_is_copied_under_its_own_name_and_its_hash_decides_ids(tmp_path):
    weights, groups, run = tmp_path / "w.pt", tmp_path / "g.csv", tmp_path / "run"
    weights.write_bytes(b"weights")
    groups.write_bytes(b"image_id,age\n")
    run.mkdir()
    carried = Carried(initial=weights, groups=groups)
    assert carried.hashes == {"initial": content_hash(weights), "groups": content_hash(groups)}
    assert content_hash(weights) != content_hash(groups)
    carried.copy_into(run)
    assert (run / INITIAL_FILE).read_bytes() == b"weights"
    assert (run / GROUPS_FILE).read_bytes() == b"image_id,age\n"
    assert carried_groups(run) == run / GROUPS_FILE


def test_a_run_that_carries_nothing_has_no_such_files(tmp_path):
    carried = Carried()
    assert carried.hashes == {}
    carried.copy_into(tmp_path)
    assert list(tmp_path.iterdir()) == []
    assert carried_groups(tmp_path) is None
