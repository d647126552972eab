"""Every hyperparameter, declared once: its type, bounds, default and meaning.

To add a hyperparameter, declare it here. If it shapes the network, add it to the families that use
it (`models.registry`). It must not change the ids of earlier trials: see ``LATER``.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import partial
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, Field

from fairsweep.errors import UserError, nearest
from fairsweep.own_code.reference import Reference, is_own, is_timm
from models.file_hash import pin_weights
from models.groups import sorted_columns, sorted_factors
from models.registry import FAMILIES

Activation = Literal["relu", "leaky_relu"]
Optimizer = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "cosine", "one_cycle"]
Augmentation = Literal["none", "flip", "flip_rotate", "trivial"]
Precision = Literal["float32", "bf16"]


def known_family(value: Any) -> str:
    """Return ``value`` if it names a family or own code. Raises UserError with the nearest name."""
    if is_timm(value):
        return str(value)
    if is_own(value):
        return str(Reference.parse(value))
    if value not in tuple(FAMILIES):
        raise UserError(
            f"must be one of {', '.join(FAMILIES)}, but got {value!r}; the nearest is "
            f"{nearest(str(value), FAMILIES)!r}"
        )
    return str(value)


def architecture_name(value: Any) -> str:
    """Return ``value`` if it consists of lower-case letters, digits and underscores.

    Raises UserError otherwise.
    """
    if not isinstance(value, str) or re.fullmatch(r"[a-z][a-z0-9_]*", value) is None:
        raise UserError(
            "must be the name of a torchvision classification model, such as resnet18, but got "
            f"{value!r}"
        )
    return value


@dataclass(frozen=True, kw_only=True)
class Hyperparameters:
    """Everything that a sweep may search or fix.

    The hyperparameters that shape the network are None by default. Each family uses some of them
    and has its own defaults (`models.registry.Family.defaults`).
    """

    __pydantic_config__ = ConfigDict(use_attribute_docstrings=True)

    family: Annotated[str, BeforeValidator(known_family)] = "resnet"
    """Network family: one of ours, ``package.module:name`` of the user's own code, or ``timm:NAME``
    of a network of the package timm."""

    architecture: Annotated[str, BeforeValidator(architecture_name)] | None = None
    """Name of a torchvision classification model."""
    kernel_size: Annotated[int, Field(ge=1, le=11)] | None = None
    """Side of the convolution kernels, in pixels."""
    blocks: Annotated[int, Field(ge=1, le=64)] | None = None
    """Residual blocks; per stage in families with stages."""
    channels: Annotated[int, Field(ge=1, le=1024)] | None = None
    """Channels of the convolutions; of the first stage in families with stages."""
    conv_depth: Annotated[int, Field(ge=1, le=8)] | None = None
    """Convolutions in each residual block."""
    stages: Annotated[int, Field(ge=1, le=8)] | None = None
    """Stages; from one to the next the picture gets smaller and the channels double."""
    fc_layers: Annotated[int, Field(ge=0, le=8)] | None = None
    """Hidden linear layers before the last one."""
    fc_width: Annotated[int, Field(ge=1, le=65536)] | Literal["flat"] | None = None
    """Units of a hidden linear layer; ``flat``: the number of flattened features."""
    pool_size: Annotated[int, Field(ge=1, le=64)] | None = None
    """Side of the feature maps after adaptive average pooling, in pixels."""
    dropout: Annotated[float, Field(ge=0, lt=1)] | None = None
    """Probability of setting a feature before a linear layer to zero in training."""
    activation: Activation | None = None
    """Non-linearity after each batch norm and hidden linear layer."""
    pretrained: Annotated[str, BeforeValidator(pin_weights)] | None = None
    """Initial weights: ``none`` (random), ``imagenet`` (torchvision's best, downloaded), or a file
    of such weights. A file is kept as its path and content hash; only the hash enters the id."""
    frozen_stages: Annotated[int, Field(ge=0, le=8)] | None = None
    """Number of first stages that are not trained; a stage ends where the picture gets smaller."""

    learning_rate: Annotated[float, Field(gt=0, le=10)] = 0.001
    """Learning rate; with a schedule, its peak."""
    head_learning_rate: Annotated[float, Field(gt=0, le=10)] | None = None
    """Learning rate of the network's head (with a schedule, its peak); None: as the rest."""
    weight_decay: Annotated[float, Field(ge=0, le=1)] = 0.0001
    """L2 penalty of ``adam`` and ``sgd``; decoupled decay of ``adamw``."""
    batch_size: Annotated[int, Field(ge=2, le=65536)] = 64
    """Pictures per step."""
    optimizer: Optimizer = "adam"
    """Optimiser; ``sgd`` has Nesterov momentum 0.9."""
    lr_schedule: Schedule = "constant"
    """How the learning rate changes over all steps of the training."""
    ema_decay: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Validation and prediction use a moving average of the weights, whose earlier value has this
    weight at each step (Tarvainen & Valpola 2017, "Mean teachers", section 2); less in the first
    steps. 0 turns this off."""
    clip_norm: Annotated[float, Field(ge=0, le=1000)] = 0.0
    """Largest norm of a step's gradient over all weights; a larger one is scaled down (Pascanu et
    al. 2013, "On the difficulty of training recurrent neural networks"); 0 turns this off."""
    warmup_epochs: Annotated[float, Field(ge=0, le=1000)] = 0.0
    """Epochs during which the learning rate rises linearly to that of the schedule, by which it is
    multiplied (Goyal et al. 2017, "Accurate, large minibatch SGD", section 2.2); 0 turns this
    off."""
    image_size: Annotated[int, Field(ge=4, le=1024)] | None = None
    """Height to which pictures are reduced for the network, in pixels; None: as in the dataset."""
    epochs: Annotated[int, Field(ge=1, le=1_000_000)] = 100
    """Passes over the training split."""
    patience: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    """Epochs in a row without a better value of the sweep's first objective after which a training
    is complete (the rule of Keras's ``EarlyStopping``); 0 turns this off."""
    augmentation: Augmentation = "flip_rotate"
    """Random change of the training pictures. ``flip`` mirrors each with probability 0.5;
    ``flip_rotate`` also rotates it by an angle from -10 to 10 degrees; ``trivial`` mirrors it and
    applies one of 14 operations with a random strength (TrivialAugment, Müller and Hutter 2021)."""
    shift: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Largest shift of a training picture in each direction, as a share of its width and height;
    drawn uniformly (Simonyan & Zisserman 2015, "VGG", section 3.1, shift by cropping)."""
    scale: Annotated[float, Field(ge=0, le=0.5)] = 0.0
    """Largest change of a training picture's size, as a share of it; drawn uniformly (the same
    paper, "scale jittering")."""
    crop: Annotated[float, Field(gt=0, le=1)] = 1.0
    """Smallest share of a training picture's area that a random crop keeps, which is then enlarged
    to the whole; sides in a ratio from 3/4 to 4/3 (Szegedy et al. 2015, "Going deeper with
    convolutions", section 6). 1 turns cropping off."""
    mixup: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Both parameters of the Beta distribution that mixes pairs of pictures and their labels
    (Zhang et al. 2018, "mixup", eq. 2); 0 turns mixup off."""
    cutmix: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Both parameters of the Beta distribution of the area that a picture takes from another one,
    together with its share of the labels (Yun et al. 2019, "CutMix", section 3.1); 0 turns CutMix
    off. With mixup too, each step uses one of them, with equal probability."""
    erase: Annotated[float, Field(ge=0, le=1)] = 0.0
    """Probability of erasing a box of a training picture, of 2 to 40 % of its area (Zhong et al.
    2020, "Random Erasing Data Augmentation", with the mean value, RE-M)."""
    label_smoothing: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """Share of a label's weight that is spread evenly over all classes (Szegedy et al. 2016,
    "Rethinking the Inception architecture", section 7)."""
    focal_gamma: Annotated[float, Field(ge=0, le=10)] = 0.0
    """Exponent of the focal loss, with which pictures that the network is sure of count less (Lin
    et al. 2017, "Focal Loss for Dense Object Detection", eq. 4); 0 is the cross-entropy. The loss
    on validation pictures is always the cross-entropy."""
    soft_labels: bool = False
    """Train on the distribution of votes instead of one label (the cross-entropy loss of Barsoum et
    al. 2016, "Crowd-sourced label distribution")."""
    test_time_flip: bool = False
    """Predict the mean of the class probabilities of a picture and its mirror image (Krizhevsky et
    al. 2012, "AlexNet", section 4.1)."""
    oversample: (
        Annotated[str, BeforeValidator(partial(sorted_factors, low=2, high=1000, whole=True))]
        | None
    ) = None
    """Groups whose training pictures are shown several times per epoch, such as ``age=child:4``.
    The factors of a picture in several groups are multiplied."""
    sample_weights: (
        Annotated[str, BeforeValidator(partial(sorted_factors, low=0, high=1000))] | None
    ) = None
    """Groups whose training pictures have a different weight in the loss, in the same notation.
    Weights are scaled to a mean of 1 (Kamiran & Calders 2012, "Data preprocessing techniques for
    classification without discrimination", Reweighing)."""
    balance: Annotated[str, BeforeValidator(sorted_columns)] | None = None
    """One or more columns whose groups have equal shares of every batch. Pictures with an empty
    value form a group (class-aware sampling of Shen et al. 2016, "Relay backpropagation", applied
    to groups)."""
    precision: Precision = "float32"
    """``bf16``: autocast to bfloat16, with weights in float32; faster on GPUs, and on processors
    with AVX-512 BF16 or AMX."""


NETWORK: tuple[str, ...] = tuple(
    field.name
    for field in fields(Hyperparameters)
    if any(field.name in family.defaults for family in FAMILIES.values())
)
"""Hyperparameters that shape the network; the others decide how it is trained."""

LATER: Mapping[str, Any] = {
    "shift": 0.0,
    "scale": 0.0,
    "crop": 1.0,
    "test_time_flip": False,
    "cutmix": 0.0,
    "erase": 0.0,
    "focal_gamma": 0.0,
    "ema_decay": 0.0,
    "clip_norm": 0.0,
    "warmup_epochs": 0.0,
    "patience": 0,
}
"""Hyperparameters added after the first runs, with the value that all earlier trainings used. A
trial id omits them at this value, so that earlier ids stay valid. Ids also omit values of None."""
