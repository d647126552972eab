"""The size at which a network gets the pictures of a dataset."""

from torch import Tensor
from torch.nn import functional

from fairsweep.errors import UserError
from models.config import TrainConfig


def input_shape(config: TrainConfig, image_shape: tuple[int, int]) -> tuple[int, int]:
    """Return the height and width of the pictures that the network of ``config`` gets.

    Args:
        config: With ``image_size`` as the height; the width follows in proportion.
        image_shape: Height and width of the dataset's pictures.

    Raises:
        UserError: The dataset's pictures are smaller.
    """
    height, width = image_shape
    if config.image_size is None or config.image_size == height:
        return image_shape
    if config.image_size > height:
        raise UserError(
            f"image_size must be at most {height}, the height of the dataset's pictures, but got "
            f"{config.image_size}; prepare the dataset with larger pictures, or leave it out"
        )
    return config.image_size, max(1, round(config.image_size * width / height))


def resize(pictures: Tensor, shape: tuple[int, int]) -> Tensor:
    """Reduce (n, channels, height, width) pictures to ``shape`` by averaging areas."""
    if pictures.shape[2:] == shape:
        return pictures
    return functional.interpolate(pictures, shape, mode="area")
