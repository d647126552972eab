from dataclasses import fields

import numpy as np
import pytest

from data_prep.faces import SIDE, Expressions, draw_faces

NAMES = [field.name for field in fields(Expressions)]
COUNT = 60


FROZEN = [
    [125.97, 105.02, 87.69, 86.68, 100.15, 126.38],
    [120.65, 122.07, 139.59, 134.8, 117.55, 111.67],
    [116.13, 140.36, 149.02, 145.68, 142.43, 111.64],
    [123.13, 153.57, 155.37, 156.05, 150.45, 118.8],
    [118.64, 142.28, 143.2, 145.82, 141.79, 122.98],
    [120.08, 126.97, 139.05, 143.36, 128.07, 122.83],
]


def expressions(count, **values):
    return Expressions(
        **{name: np.full(count, values.get(name, 0), dtype=np.float32) for name in NAMES}
    )


def draw(count=COUNT, *, seed=3, **values):
    """Faces of the same people in the same pose and light, whatever they do."""
    return draw_faces(expressions(count, **values), np.random.default_rng(seed)).astype(float)


@pytest.fixture(scope="module")
def at_rest():
    return draw()


def test_faces_are_those_of_earlier_releases():
    """Frozen: mean gray values of 8×8 pixels over sixty faces that do everything a little.

    A seed stands for its faces. Rounding in float32 turns one pixel in thousands by one gray value.
    """
    values = {name: 0.3 + 0.1 * place for place, name in enumerate(NAMES)}
    means = draw(seed=8, **values).reshape(COUNT, 6, 8, 6, 8).mean(axis=(0, 2, 4))
    assert np.abs(means - FROZEN).max() < 0.03


def test_each_face_shows_its_own_expression_however_many_are_drawn():
    """Only the faces that smile are other than at rest, in the first hundred and after it."""
    some = expressions(104)
    smiling = np.isin(np.arange(104), [3, 99, 100, 103])
    some.smile[smiling] = 1
    changed = draw_faces(some, np.random.default_rng(3)) != draw(104)
    assert (changed.any(axis=(1, 2)) == smiling).all()
    assert changed.shape == (104, SIDE, SIDE)


@pytest.mark.parametrize(
    ("name", "top", "bottom"),
    [
        ("frown", 6, 23), ("brows_up", 4, 23), ("lids_down", 8, 27), ("gaze_away", 8, 27),
        ("smile", 25, 45), ("mouth_open", 24, 46), ("lips_pressed", 27, 46),
    ],
)  # fmt: skip
def test_an_expression_moves_its_own_part_of_the_face(at_rest, name, top, bottom):
    """Row 0 is the top; brows are above the eyes, and the mouth is in the lower half."""
    change = np.abs(draw(**{name: 1}) - at_rest).mean(axis=0)
    inside = change[top : bottom + 1, 8:40].sum()
    assert inside > 0.97 * change.sum() > 0


def change_by_row(at_rest, name, value):
    """Mean change of each row of pixels in the middle columns; less than 0 is darker."""
    return (draw(**{name: value}) - at_rest).mean(axis=0).sum(axis=1)


def place_of_darkening(change):
    """Mean row of what got darker."""
    darker = np.clip(-change, 0, None)
    return darker @ np.arange(SIDE) / darker.sum()


def place_of_lightening(change):
    return place_of_darkening(-change)


def test_raised_brows_are_higher_and_lowered_ones_lower(at_rest):
    up, down = (change_by_row(at_rest, "brows_up", value) for value in (1, -1))
    assert place_of_darkening(up) < place_of_lightening(up) - 3
    assert place_of_darkening(down) > place_of_lightening(down) + 3


def test_a_frown_lowers_the_inner_ends_of_the_brows_and_folds_the_skin_between(at_rest):
    change = (draw(frown=1) - at_rest).mean(axis=0)
    inner, outer = change[:, 19:29].sum(axis=1), change[:, [*range(10, 15), *range(33, 38)]]
    assert place_of_darkening(inner) > place_of_lightening(inner) + 2
    outer = outer.sum(axis=1)
    assert place_of_darkening(outer) < place_of_lightening(outer)
    assert change[:, 22:26].sum() < 0


def test_a_smile_lifts_the_corners_of_the_mouth(at_rest):
    """The middle of the mouth goes the other way."""
    change = (draw(smile=1) - at_rest).mean(axis=0)
    middle = change[:, 22:26].sum(axis=1)
    corners = change[:, [13, 14, 15, 33, 34, 35]].sum(axis=1)
    assert place_of_darkening(middle) > place_of_lightening(middle)
    assert place_of_darkening(corners) < place_of_lightening(corners)


def test_an_open_mouth_is_dark_and_pressed_lips_are_narrower_and_thinner(at_rest):
    opened, pressed = (
        (draw(**{name: 1}) - at_rest).mean(axis=0) for name in ("mouth_open", "lips_pressed")
    )
    assert opened[28:44].sum() < -1000
    assert pressed.sum() > 0
    assert pressed[28:44, [14, 15, 16, 32, 33, 34]].sum() > 50


def test_lowered_lids_hide_the_eyes_and_wide_eyes_show_their_white(at_rest):
    lowered, wide = (draw(lids_down=value) - at_rest for value in (1, -1))
    assert (wide.mean(axis=0)[12:23, 12:37]).sum() > 500
    # What is seen of an eye shrinks to a slit, so that light and dark of it are less apart.
    rows, columns = slice(13, 23), slice(12, 37)
    assert (at_rest + lowered)[:, rows, columns].std() < at_rest[:, rows, columns].std()


def test_faces_of_one_seed_differ_and_those_of_another_too(at_rest):
    assert np.array_equal(draw(5), draw(5))
    assert not np.array_equal(draw(5), draw(5, seed=4))
    assert len({picture.tobytes() for picture in at_rest}) == COUNT
