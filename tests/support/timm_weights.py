"""A file of weights as timm has it, for tests."""

import pytest
import torch


@pytest.fixture(name="weights", scope="module")
def weights_fixture(tmp_path_factory):
    """A file of weights as timm has it, and its network."""
    timm = pytest.importorskip("timm")
    torch.manual_seed(0)
    network = timm.create_model("test_resnet").eval()
    path = tmp_path_factory.mktemp("weights") / "test_resnet.pth"
    torch.save(network.state_dict(), path)
    return path, network
