import pytest
import torch

from models.checkpoint import CheckpointError, load, save


def test_a_state_comes_back_as_it_was(tmp_path):
    state = {"epoch": 3, "model": {"weight": torch.randn(4, 2)}, "rates": [0.1, None]}
    save(tmp_path / "last.pt", state)
    again = load(tmp_path / "last.pt")
    assert torch.equal(again["model"].pop("weight"), state["model"].pop("weight"))
    assert again == state
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.99])
def test_a_file_cut_short_is_told(tmp_path, share):
    path = tmp_path / "last.pt"
    save(path, {"weight": torch.randn(1000)})
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    with pytest.raises(CheckpointError, match=r"last\.pt is damaged"):
        load(path)


def test_a_changed_byte_is_told(tmp_path):
    path = tmp_path / "last.pt"
    weight = torch.randn(1000)
    save(path, {"weight": weight})
    changed = bytearray(path.read_bytes())
    changed[changed.index(weight.numpy().tobytes()) + 500] ^= 1
    path.write_bytes(changed)
    with pytest.raises(CheckpointError, match="has another checksum"):
        load(path)


def test_a_file_of_another_kind_is_told(tmp_path):
    path = tmp_path / "last.pt"
    path.write_text("not a checkpoint")
    with pytest.raises(CheckpointError, match=r"last\.pt is damaged or no checkpoint"):
        load(path)


def test_an_object_that_could_run_code_is_not_read(tmp_path):
    path = tmp_path / "last.pt"
    torch.save({"code": print}, path)
    with pytest.raises(CheckpointError, match=r"last\.pt"):
        load(path)


def test_a_missing_file_is_told_as_such(tmp_path):
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "last.pt")


def test_a_write_that_fails_leaves_the_old_checkpoint_alone(tmp_path):
    path = tmp_path / "last.pt"
    save(path, {"epoch": 1})
    with pytest.raises(Exception, match="pickle"):
        save(path, {"epoch": lambda: 2})
    assert load(path) == {"epoch": 1}
    assert [path.name for path in tmp_path.iterdir()] == ["last.pt"]
