"""`TrainConfig`: every hyperparameter of one training, and the hashes and name that identify it."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, NoReturn, Self, get_args

from fairsweep.errors import UserError
from models.groups import Columns, Digest, Factors
from models.registry import FAMILIES, Family
from models.rules import (
    Choice,
    Flag,
    Number,
    Rule,
    Whole,
    Word,
    WordOrFile,
    nearest,
    pinned_hash,
)

Activation = Literal["relu", "leaky_relu"]
Optimizer = Literal["adam", "adamw", "sgd"]
Schedule = Literal["constant", "cosine", "one_cycle"]
Augmentation = Literal["none", "flip", "flip_rotate"]
Precision = Literal["float32", "bf16"]

NETWORK_RULES: dict[str, Rule] = {
    "architecture": Word("the name of a torchvision classification model, such as resnet18"),
    "kernel_size": Whole(1, 11),
    "blocks": Whole(1, 64),
    "channels": Whole(1, 1024),
    "conv_depth": Whole(1, 8),
    "fc_layers": Whole(0, 8),
    "fc_width": Whole(1, 65536, words=("flat",)),
    "pool_size": Whole(1, 64),
    "dropout": Number(0, 1, open_high=True),
    "activation": Choice(get_args(Activation)),
    "pretrained": WordOrFile(("none", "imagenet")),
    "frozen_stages": Whole(0, 8),
}
"""Hyperparameters that shape the network; each family uses some of them."""

RULES: dict[str, Rule] = {
    "family": Choice(tuple(FAMILIES)),
    **NETWORK_RULES,
    "learning_rate": Number(0, 10, open_low=True),
    "head_learning_rate": Number(0, 10, open_low=True),
    "weight_decay": Number(0, 1),
    "batch_size": Whole(2, 65536),
    "optimizer": Choice(get_args(Optimizer)),
    "lr_schedule": Choice(get_args(Schedule)),
    "epochs": Whole(1, 1_000_000),
    "augmentation": Choice(get_args(Augmentation)),
    "shift": Number(0, 0.5),
    "scale": Number(0, 0.5),
    "mixup": Number(0, 10),
    "label_smoothing": Number(0, 1, open_high=True),
    "soft_labels": Flag(),
    "test_time_flip": Flag(),
    "oversample": Factors(2, 1000, whole=True),
    "sample_weights": Factors(0, 1000),
    "balance": Columns(),
    "groups": Digest(),
    "initial": Digest(),
    "precision": Choice(get_args(Precision)),
    "seed": Whole(0, 2**63 - 1),
    "fold": Whole(0, 99_999),
    "folds": Whole(2, 1000),
}
"""Every hyperparameter of `TrainConfig`, with what its value must be."""

LATER: dict[str, Any] = {"shift": 0.0, "scale": 0.0, "test_time_flip": False}
"""Hyperparameters that came after the first ids, with the value of all trainings before them: left
out of an id where they have it, so that ids stay. None is left out of every id."""


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """All hyperparameters of one training; checked, and complete once made.

    Those that shape the network are None where the family does not use them, and the family's
    default where they were not given, so two ways to say the same give equal configurations.

    Raises:
        UserError: A value breaks its rule, or the family does not know it.
    """

    family: str = "resnet"
    """Network family, a name in `FAMILIES`."""
    architecture: str | None = None
    """Torchvision's name of a classification model."""
    kernel_size: int | None = None
    """Side of the convolution kernels, in pixels."""
    blocks: int | None = None
    """Residual blocks; per stage where the family has stages."""
    channels: int | None = None
    """Channels of the convolutions; of the first stage where the family has stages."""
    conv_depth: int | None = None
    """Convolutions per residual block (resnet), or stages (plain, staged)."""
    fc_layers: int | None = None
    """Hidden linear layers before the last one."""
    fc_width: int | Literal["flat"] | None = None
    """Units of a hidden linear layer; ``flat``: as many as there are flattened features."""
    pool_size: int | None = None
    """Side of the feature maps after adaptive average pooling, in pixels."""
    dropout: float | None = None
    """Probability with which a feature before a linear layer is zeroed in training."""
    activation: Activation | None = None
    """Non-linearity after each batch norm and hidden linear layer."""
    pretrained: str | None = None
    """First weights: ``none`` (random), ``imagenet`` (torchvision's best, downloaded), or a file of
    such weights, which is then kept as its path and content hash; the hash alone identifies."""
    frozen_stages: int | None = None
    """First stages that keep their weights; a stage ends where the picture gets smaller."""

    learning_rate: float = 0.001
    """Learning rate; the peak where a schedule changes it."""
    head_learning_rate: float | None = None
    """Learning rate of the network's head, at the peak as well; None for that of the rest."""
    weight_decay: float = 0.0001
    """L2 penalty of ``adam`` and ``sgd``; decoupled decay of ``adamw``."""
    batch_size: int = 64
    """Pictures per step."""
    optimizer: Optimizer = "adam"
    """Optimiser; ``sgd`` has Nesterov momentum 0.9."""
    lr_schedule: Schedule = "constant"
    """How the learning rate changes over all steps of the training."""
    epochs: int = 100
    """Passes over the training split."""
    augmentation: Augmentation = "flip_rotate"
    """Change of the training pictures: each flipped with probability 0.5; and each turned by an
    angle drawn from -10 to 10 degrees (study A)."""
    shift: float = 0.0
    """Largest move of a training picture to each side, as a share of its width and height; drawn
    evenly (Simonyan & Zisserman 2015, "VGG", section 3.1, move theirs by cropping)."""
    scale: float = 0.0
    """Largest change of a training picture's size, as a share of it; drawn evenly (the same,
    "scale jittering")."""
    mixup: float = 0.0
    """Both parameters of the Beta distribution that mixes pairs of pictures and their labels
    (Zhang et al. 2018, "mixup", eq. 2); 0 mixes none."""
    label_smoothing: float = 0.0
    """Share of a label's weight that is spread evenly over all classes (Szegedy et al. 2016,
    "Rethinking the Inception architecture", section 7)."""
    soft_labels: bool = False
    """Train on the distribution of votes instead of the one label (the cross-entropy loss of
    Barsoum et al. 2016, "Crowd-sourced label distribution")."""
    test_time_flip: bool = False
    """Predict the mean of the class probabilities of a picture and of its mirror image (Krizhevsky
    et al. 2012, "AlexNet", section 4.1)."""
    oversample: str | None = None
    """Groups whose training pictures come several times in an epoch, as ``age=child:4``; of two
    groups that a picture is in, the product counts (study A's mitigation)."""
    sample_weights: str | None = None
    """Groups whose training pictures count more or less in the loss, written alike; scaled so that
    the mean of all is 1 (Kamiran & Calders 2012, "Data preprocessing techniques for classification
    without discrimination", Reweighing)."""
    balance: str | None = None
    """Column whose groups have equal shares of every batch, or several columns; pictures of which
    it says nothing are a group (Shen et al. 2016, "Relay backpropagation", class-aware sampling, of
    groups)."""
    groups: str | None = None
    """Hash of the CSV in the run directory whose columns were joined to the dataset's."""
    initial: str | None = None
    """Hash of the checkpoint in the run directory whose weights are the first ones."""
    precision: Precision = "float32"
    """``bf16``: autocast to bfloat16, with weights in float32."""
    seed: int = 0
    """Seed of the first weights, the order of the pictures, augmentation and dropout."""
    fold: int | None = None
    """Fold that validates while the others train; None for the dataset's own split."""
    folds: int | None = None
    """Folds in a repeat, through which ``fold`` counts on; None for the ten of the dataset."""

    def __post_init__(self) -> None:
        _set(self, "family", RULES["family"].check("family", self.family))
        for name, rule in RULES.items():
            value = getattr(self, name)
            if value is None:
                value = self._family.defaults.get(name)
            elif name in NETWORK_RULES and name not in self._family.defaults:
                self._refuse(name, value)
            if value is not None or name not in _OPTIONAL:
                _set(self, name, rule.check(name, value))

    @classmethod
    def create(cls, values: Mapping[str, Any]) -> Self:
        """Make a configuration from names and values.

        Raises:
            UserError: A name is no hyperparameter (the message tells the nearest valid one), a
                value breaks its rule, or the family does not know a hyperparameter.
        """
        for name in values:
            if name not in RULES:
                raise UserError(
                    f"{name!r} is not a hyperparameter; the nearest is {nearest(name, RULES)!r} "
                    f"(all: {', '.join(RULES)})"
                )
        return cls(**values)

    def to_dict(self) -> dict[str, Any]:
        """Return every hyperparameter that is in use, fit for JSON and for `create`."""
        values = {name: getattr(self, name) for name in RULES}
        return {name: value for name, value in values.items() if value is not None}

    @property
    def network(self) -> dict[str, Any]:
        """The hyperparameters that shape the network, by name."""
        return {name: getattr(self, name) for name in self._family.defaults}

    @property
    def name(self) -> str:
        """Short name of the network; the study's own, as ``B16_N8_FC2_K5_AP20``, for a resnet."""
        family, values = self._family, self.network
        marks = (
            f"_{letters}{_shown(values[name])}"
            for name, letters in family.marks.items()
            if values[name] != family.defaults[name]
        )
        return family.name.format(**values) + "".join(marks)

    @property
    def schedule_needs_epochs(self) -> bool:
        """True if the number of epochs decides the learning rate of every step."""
        return self.lr_schedule != "constant"

    @property
    def configuration_id(self) -> str:
        """Hash of the configuration: all but seed and fold, and epochs only where they matter."""
        apart = ("seed", "fold", "folds")
        return _hash({k: v for k, v in self._deciding.items() if k not in apart})

    def trial_id(self, fingerprint: str) -> str:
        """Hash of all that decides a trial's result, on the dataset with this ``fingerprint``."""
        return _hash(self._deciding | {"dataset": fingerprint})

    @property
    def _family(self) -> Family:
        return FAMILIES[self.family]

    @property
    def _deciding(self) -> dict[str, Any]:
        values = {k: v for k, v in self.to_dict().items() if LATER.get(k) != v}
        if not self.schedule_needs_epochs:
            del values["epochs"]
        if self.pretrained is not None:
            values["pretrained"] = pinned_hash(self.pretrained) or self.pretrained
        return values

    def _refuse(self, name: str, value: Any) -> NoReturn:
        known = self._family.defaults
        raise UserError(
            f"family {self.family} does not use {name}, but got {value!r}; leave it out (the "
            f"nearest that it uses is {nearest(name, known)!r}, all: {', '.join(known)})"
        )


_GROUPED = ("oversample", "sample_weights", "balance", "groups", "initial")
_OPTIONAL = frozenset({*NETWORK_RULES, "head_learning_rate", *_GROUPED, "fold", "folds"})


def _set(config: TrainConfig, name: str, value: Any) -> None:
    object.__setattr__(config, name, value)


def _shown(value: Any) -> str:
    """Return a value as a short name bears it: a file without its folder, suffix and hash."""
    is_file = isinstance(value, str) and pinned_hash(value) is not None
    return Path(value.rpartition("#")[0]).stem if is_file else str(value)


def _hash(values: Mapping[str, Any]) -> str:
    text = json.dumps(values, sort_keys=True, separators=(",", ":"))
    return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()
