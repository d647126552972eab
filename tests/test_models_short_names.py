"""Short names of own networks, and the arguments that they get."""

import pytest

from fairsweep.errors import UserError
from models.own_network import OFFERED, arguments, parameter_names, short_name
from models.timm_network import type_and_message, with_weights


def test_a_short_name_has_the_values_in_the_order_of_the_arguments():
    values = {"width": 8, "act": "re lu", "at": 0.5, "weights": "/a/b/best.pt#0123456789abcdef"}
    name = short_name("nets.deep:MyNet", values)
    assert name == "MyNet_width=8_act=re-lu_at=0.5_weights=best"
    assert short_name("timm:resnet18.a1_in1k", {}) == "resnet18.a1_in1k"
    assert short_name("nets:N", {"x": "y" * 200}) == "N_x=" + "y" * 76


def test_a_network_gets_what_it_names_of_classes_channels_and_the_picture():
    every = arguments(OFFERED, classes=5, image_shape=(48, 48), image_channels=3)
    assert every == {
        "classes": 5,
        "num_classes": 5,
        "image_shape": (48, 48),
        "image_size": 48,
        "image_channels": 3,
        "in_channels": 3,
        "in_chans": 3,
    }
    oblong = arguments(["image_shape", "width"], classes=5, image_shape=(48, 40), image_channels=1)
    assert oblong == {"image_shape": (48, 40)}
    with pytest.raises(UserError, match="the pictures have 48×40 pixels"):
        arguments(["image_size"], classes=5, image_shape=(48, 40), image_channels=1)
    assert parameter_names(short_name) == ("family", "values")


def test_weights_of_timm_are_none_its_download_or_a_pinned_file():
    given = {
        True: "timm",
        False: "none",
        "timm": "timm",
        "none": "none",
        "/gone/w.pt#0123456789abcdef": "/gone/w.pt#0123456789abcdef",
    }
    for value, expected in given.items():
        assert with_weights({"pretrained": value, "x": 1}) == {"pretrained": expected, "x": 1}
    assert with_weights({"pretrained": None}) == {"pretrained": None}
    assert with_weights({"x": 1}) == {"x": 1}
    for value, message in (("imagenet", "write true for the weights"), ("gone.pt", "no such file")):
        with pytest.raises(UserError, match=message):
            with_weights({"pretrained": value})


def test_an_exception_is_one_line_of_at_most_200_letters():
    assert type_and_message(ValueError("a\n  b")) == "ValueError: a b"
    whole = type_and_message(ValueError("x" * 188))
    assert (len(whole), whole[-1]) == (200, "x")
    cut = type_and_message(ValueError("x" * 189))
    assert (len(cut), cut[-1]) == (201, "…")


def test_a_large_number_keeps_its_sign_in_a_short_name():
    assert short_name("nets:N", {"x": 1e16, "y": -2.5}) == "N_x=1e+16_y=-2.5"
