import json
import subprocess
import sys
from dataclasses import fields, replace

import pytest

from models.config import FIELDS, TrainConfig
from models.hyperparameters import LATER
from models.registry import FAMILIES


def test_the_names_of_a_configuration_are_its_fields():
    of_own_networks = ["code", "own"]
    assert [*FIELDS, *of_own_networks] == [field.name for field in fields(TrainConfig)]


def test_a_default_said_aloud_gives_an_equal_configuration():
    silent, loud = TrainConfig(), TrainConfig(kernel_size=3, fc_width="flat", learning_rate=1e-3)
    assert silent == loud
    assert silent.configuration_id == loud.configuration_id


def test_a_configuration_survives_its_dict():
    config = TrainConfig(family="plain", kernel_size=4, fold=3, lr_schedule="cosine", epochs=5)
    assert TrainConfig.create(config.to_dict()) == config


def test_dict_leaves_out_what_the_family_does_not_use():
    assert "blocks" not in TrainConfig(family="plain").to_dict()
    assert TrainConfig(family="plain").blocks is None


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (
            {"kernal_size": 3},
            r"'kernal_size' is not a hyperparameter; the nearest is 'kernel_size'",
        ),
        (
            {"learning_rte": 3},
            r"'learning_rte' is not .*; the nearest is 'learning_rate' \(all: fam",
        ),
        ({"family": "rsnet"}, r"family must be one of resnet, .* nearest is 'resnet'"),
        ({"family": "plain", "blocks": 3}, r"family plain does not use blocks, but got 3; leave"),
        ({"kernel_size": 13}, r"kernel_size must be a whole number from 1 to 11, but got 13"),
        ({"kernel_size": 3.0}, r"kernel_size must be a whole number .* got 3\.0"),
        ({"fc_width": "flt"}, r"fc_width must be a whole number .* or 'flat', but got 'flt'"),
        ({"optimizer": "adan"}, r"optimizer must be one of adam, adamw, sgd, but got 'adan'"),
        ({"learning_rate": 0}, r"learning_rate must be a number above 0 and at most 10, but got 0"),
        ({"learning_rate": "1e-3"}, r"learning_rate .* got '1e-3'; YAML reads 1e-3 as text"),
        ({"learning_rate": float("nan")}, r"learning_rate must be a number .* got nan"),
        ({"learning_rate": None}, r"learning_rate must be a number .* got None"),
        ({"dropout": 1.0}, r"dropout must be a number of at least 0 and below 1, but got 1\.0"),
        ({"batch_size": 1}, r"batch_size must be a whole number from 2"),
        ({"epochs": True}, r"epochs must be a whole number .* got True"),
        (
            {"family": "torchvision", "architecture": "resnet18; x"},
            r"architecture must be the name of a torchvision .* but got 'resnet18; x'",
        ),
        ({"soft_labels": 1}, r"soft_labels must be true or false, but got 1"),
    ],
)
def test_a_bad_value_is_refused_with_the_rule_and_the_way_out(values, message):
    with pytest.raises(ValueError, match=message):
        TrainConfig.create(values)


def test_numbers_of_another_type_give_the_same_id():
    assert TrainConfig(weight_decay=0).trial_id("f") == TrainConfig(weight_decay=0.0).trial_id("f")


def test_ids_stay_what_they_are_from_version_to_version():
    config = TrainConfig(channels=32, seed=1)
    assert (config.configuration_id, config.trial_id("fingerprint")) == (
        "8fcbccc0686e",
        "39d7e452936c",
    )


def test_ids_do_not_depend_on_the_order_of_the_values():
    values = {"channels": 32, "seed": 1, "family": "resnet"}
    backwards = dict(reversed(values.items()))
    one, other = TrainConfig.create(values), TrainConfig.create(backwards)
    assert one.configuration_id == other.configuration_id
    assert one.trial_id("f") == other.trial_id("f")


def test_replicates_and_folds_share_a_configuration_but_are_trials_of_their_own():
    trials = [TrainConfig(), TrainConfig(seed=1), TrainConfig(fold=0), TrainConfig(fold=1)]
    assert len({config.configuration_id for config in trials}) == 1
    assert len({config.trial_id("f") for config in trials}) == len(trials)
    assert TrainConfig().trial_id("f") != TrainConfig().trial_id("g")


APART = ("epochs", "seed", "fold", "folds")


@pytest.mark.parametrize("name", [name for name in FIELDS if name not in APART])
def test_any_other_hyperparameter_makes_another_configuration(name):
    other = {"family": "plain", "fc_width": 64, "activation": "leaky_relu", "optimizer": "sgd"}
    other |= {"lr_schedule": "cosine", "augmentation": "none", "soft_labels": True}
    other |= {"precision": "bf16", "dropout": 0.25, "label_smoothing": 0.1, "mixup": 0.2}
    other |= {"learning_rate": 0.01, "weight_decay": 0.1}
    other |= {"shift": 0.1, "scale": 0.1, "crop": 0.5, "test_time_flip": True, "ema_decay": 0.9}
    other |= {"erase": 0.5}
    other |= {"architecture": "vgg11", "pretrained": "imagenet"}
    other |= {"oversample": "age=child:4", "sample_weights": "age=child:4", "balance": "age"}
    other |= {"groups": "0" * 16, "initial": "0" * 16, "image_size": 24}
    of_torchvision = name in FAMILIES["torchvision"].defaults
    base = {"family": "torchvision"} if of_torchvision else {}
    base = {"family": "plain"} if name == "stages" else base
    changed = TrainConfig.create(base | {name: other.get(name, 7)})
    assert changed.configuration_id != TrainConfig.create(base).configuration_id


@pytest.mark.parametrize(
    ("schedule", "decides"), [("constant", False), ("cosine", True), ("one_cycle", True)]
)
def test_epochs_count_only_where_the_schedule_depends_on_them(schedule, decides):
    short = TrainConfig(lr_schedule=schedule, epochs=2)
    longer = replace(short, epochs=4)
    assert short.schedule_needs_epochs is decides
    assert (short.configuration_id != longer.configuration_id) is decides
    assert (short.trial_id("f") != longer.trial_id("f")) is decides


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"blocks": 8, "fc_layers": 2, "kernel_size": 5}, "B16_N8_FC2_K5_AP20"),
        ({"conv_depth": 1, "fc_width": 128}, "B16_N4_FC1_K3_AP20_D1_W128"),
        ({"activation": "leaky_relu"}, "B16_N4_FC1_K3_AP20_leaky_relu"),
        ({"family": "plain", "channels": 16, "kernel_size": 4}, "plain_C16_D3_K4"),
        ({"family": "staged"}, "staged_C32_N2_D3_K3"),
    ],
)
def test_a_network_bears_a_short_name(values, name):
    assert TrainConfig.create(values).name == name


def test_config_imports_neither_torch_nor_numpy():
    code = "import sys, models.config; print({'torch', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


FRACTIONS = (
    "weight_decay",
    "mixup",
    "warmup_epochs",
    "clip_norm",
    "cutmix",
    "erase",
    "focal_gamma",
)
"""Names of LIMITS that need not be whole numbers."""
LIMITS = {
    "kernel_size": (1, 11), "blocks": (1, 64), "channels": (1, 1024), "conv_depth": (1, 8),
    "fc_layers": (0, 8), "fc_width": (1, 65536), "pool_size": (1, 64), "weight_decay": (0, 1),
    "batch_size": (2, 65536), "epochs": (1, 1_000_000), "shift": (0, 0.5), "scale": (0, 0.5),
    "image_size": (4, 1024), "mixup": (0, 10), "seed": (0, 2**63 - 1), "fold": (0, 99_999),
    "folds": (2, 1000), "warmup_epochs": (0, 1000), "clip_norm": (0, 1000),
    "cutmix": (0, 10), "focal_gamma": (0, 10), "erase": (0, 1), "patience": (0, 1_000_000),
}  # fmt: skip


@pytest.mark.parametrize(("name", "limits"), LIMITS.items(), ids=LIMITS)
def test_a_limit_is_allowed_and_what_lies_beyond_it_is_not(name, limits):
    for limit in limits:
        assert getattr(TrainConfig.create({name: limit}), name) == limit
    step = 1 if isinstance(limits[1], int) and name not in FRACTIONS else 1e-9
    for beyond in (limits[0] - step, limits[1] + step):
        with pytest.raises(ValueError, match=rf"{name} must be .* but got"):
            TrainConfig.create({name: beyond})


@pytest.mark.parametrize(
    ("name", "open_end", "other"),
    [
        ("learning_rate", 0, 10),
        ("head_learning_rate", 0, 10),
        ("crop", 0, 1),
        ("dropout", 1, 0),
        ("label_smoothing", 1, 0),
        ("ema_decay", 1, 0),
    ],
)
def test_an_open_end_is_not_allowed_and_what_lies_just_inside_it_is(name, open_end, other):
    inside = abs(open_end - 1e-9)
    for allowed in (inside, other):
        assert getattr(TrainConfig.create({name: allowed}), name) == allowed
    for refused in (open_end, other + (1e-9 if other else -1e-9)):
        with pytest.raises(ValueError, match=f"{name} must be a number"):
            TrainConfig.create({name: refused})


def test_a_torchvision_network_has_up_to_eight_frozen_stages():
    assert TrainConfig(family="torchvision", frozen_stages=8).frozen_stages == 8
    with pytest.raises(ValueError, match="frozen_stages must be a whole number from 0 to 8"):
        TrainConfig(family="torchvision", frozen_stages=9)


PINNED = "/some where/w#1.pth#0123456789abcdef"


@pytest.mark.parametrize(
    ("values", "ids"),
    [
        ({"lr_schedule": "cosine"}, ("db659ad54c6d", "1b2c2de6ca3c")),
        ({"fold": 12, "folds": 5, "seed": 3}, ("549c50683870", "de8db0f7f359")),
        ({"family": "plain", "head_learning_rate": 0.01}, ("a8e3fa61eddc", "b28966e7c2a2")),
        (
            {"family": "staged", "shift": 0.1, "test_time_flip": True},
            ("91e9479e6f2d", "7af2df2ce726"),
        ),
        (
            {"family": "torchvision", "pretrained": PINNED, "frozen_stages": 2},
            ("6700422b13f8", "914087f7f7f1"),
        ),
        (
            {"oversample": "age=child:4", "initial": "0" * 16, "groups": "1" * 16},
            ("5cde583fb587", "dde9f79a3fd8"),
        ),
    ],
)
def test_ids_of_every_kind_stay_what_they_are(values, ids):
    """Frozen: they are in the runs of users, and hold the default of every hyperparameter."""
    config = TrainConfig.create(values)
    assert (config.configuration_id, config.trial_id("fingerprint")) == ids


OWN = {"family": "nets:MyNet", "code": "0123456789abcdef" * 2}
OF_TIMM = {"family": "timm:test_vit", "code": "timm 1.0.20", "pretrained": "none"}


@pytest.mark.parametrize(
    ("values", "ids"),
    [
        (OWN, ("910e254b623d", "a8dd7ccb28e6")),
        ({**OWN, "width": 8, "channels": "few", "seed": 3}, ("8d9c928c3b91", "8dde2c3d54a6")),
        (OF_TIMM, ("20fd65c5ad95", "15f21def2d1f")),
        ({**OF_TIMM, "pretrained": PINNED, "depth": 2}, ("25aa0991d7f1", "0f43bb29bb36")),
    ],
)
def test_ids_of_networks_that_are_not_ours_stay_what_they_are(values, ids):
    """Frozen: they are in the runs of users."""
    config = TrainConfig.create(values)
    assert (config.configuration_id, config.trial_id("fingerprint")) == ids
    assert TrainConfig.create(dict(reversed(config.to_dict().items()))) == config


@pytest.mark.parametrize("values", [OF_TIMM, {"family": "torchvision"}])
def test_weights_of_the_same_content_give_the_same_id_wherever_they_lie(values):
    here, there, other = (
        TrainConfig.create({**values, "pretrained": place})
        for place in (PINNED, "/elsewhere.pth#0123456789abcdef", PINNED.replace("f", "e"))
    )
    assert here.trial_id("f") == there.trial_id("f") != other.trial_id("f")


@pytest.mark.parametrize(
    "code",
    ["0" * 31, "0" * 33, "A" * 32, "timm", "timm 1.0 and more", "timm v1", "my timm 1.0", 3],
)
def test_what_is_no_hash_of_code_is_refused(code):
    with pytest.raises(ValueError, match=r"code is the hash of own code, .* but got"):
        TrainConfig.create({**OWN, "code": code})


def test_a_hyperparameter_of_an_own_network_with_the_name_of_one_of_ours_can_be_replaced():
    config = TrainConfig.create({**OWN, "channels": 4, "width": 8})
    assert replace(config, seed=1).network == {"channels": 4, "width": 8}
    assert replace(config, channels=6).network == {"channels": 6, "width": 8}
    assert replace(config, channels=6).name == "MyNet_channels=6_width=8"


def test_folds_of_another_number_are_other_trials_of_the_same_configuration():
    of_ten, of_five = TrainConfig(fold=2), TrainConfig(fold=2, folds=5)
    assert of_ten.configuration_id == of_five.configuration_id
    assert of_ten.trial_id("f") != of_five.trial_id("f")


def test_a_shown_file_is_its_name_without_folder_suffix_and_hash():
    config = TrainConfig(family="torchvision", pretrained=PINNED, frozen_stages=2)
    assert config.name == "resnet18_w#1_F2"
    assert TrainConfig(family="torchvision", pretrained="imagenet").name == "resnet18_imagenet"


def test_the_name_of_a_plain_network_tells_its_width():
    assert TrainConfig(family="plain", fc_width=64).name == "plain_C32_D3_K3_W64"


def test_epochs_of_a_whole_training_are_a_hundred():
    assert TrainConfig().epochs == 100


def test_a_refusal_names_what_the_family_uses():
    message = r"nearest that it uses is 'channels', all: kernel_size, channels, stages, fc_"
    with pytest.raises(ValueError, match=message):
        TrainConfig(family="plain", blocks=3)


def test_the_network_of_a_configuration_is_what_its_family_uses():
    config = TrainConfig(family="staged", channels=8, learning_rate=0.5)
    assert config.network == {
        "kernel_size": 3, "blocks": 2, "channels": 8, "stages": 3, "dropout": 0.0,
        "activation": "relu",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"family": "plain", "activation": "relu"}, "plain_C32_D3_K3_relu"),
        ({"family": "staged", "activation": "leaky_relu"}, "staged_C32_N2_D3_K3_leaky_relu"),
        ({"family": "torchvision", "architecture": "vgg11", "frozen_stages": 1}, "vgg11_F1"),
        ({"family": "torchvision"}, "resnet18"),
        ({"fc_width": "flat", "learning_rate": 0.5, "dropout": 0.5}, "B16_N4_FC1_K3_AP20"),
    ],
)
def test_a_short_name_tells_what_is_not_the_default(values, name):
    assert TrainConfig.create(values).name == name


def test_what_came_later_is_off_by_default():
    config = TrainConfig()
    assert (config.shift, config.scale, config.test_time_flip) == (0, 0, False)
    assert (config.seed, config.fold, config.folds) == (0, None, None)


@pytest.mark.parametrize("name", LATER)
def test_what_came_later_gives_the_same_id_where_it_is_said_to_be_off(name):
    read = json.loads(json.dumps(LATER[name]))
    assert TrainConfig.create({name: read}).trial_id("f") == TrainConfig().trial_id("f")
