import pytest

from tune.space import SearchSpace

STUDY = {
    "kernel_size": [3, 5, 7],
    "blocks": [4, 8],
    "channels": [16, 32],
    "fc_layers": {"from": "blocks", "map": {4: 1, 8: 2}},
}
BRANCHED = {
    "family": {
        "resnet": {"kernel_size": [3, 5], "blocks": [4, 8]},
        "plain": {"kernel_size": [3, 4], "conv_depth": [3, 4, 5]},
    },
    "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
}


def test_grid_of_the_study_has_twelve_configurations_with_fc_layers_tied_to_blocks():
    space = SearchSpace.parse(STUDY)
    configurations = [space.at(point) for point in space.grid()]
    assert len(configurations) == 12
    assert {(one["blocks"], one["fc_layers"]) for one in configurations} == {(4, 1), (8, 2)}
    assert space.all_ties() == {"fc_layers": "blocks"}
    assert list(configurations[0]) == list(STUDY)


def test_a_branch_brings_only_its_own_hyperparameters():
    space = SearchSpace.parse({"family": BRANCHED["family"]})
    configurations = [space.at(point) for point in space.grid()]
    assert len(configurations) == 2 * 2 + 2 * 3
    assert all(("blocks" in one) == (one["family"] == "resnet") for one in configurations)
    assert space.conditional


def test_a_branch_may_hang_on_a_number():
    space = SearchSpace.parse({"conv_depth": {3: {"kernel_size": [3, 4]}, 4: {"kernel_size": [3]}}})
    configurations = [tuple(space.at(point).values()) for point in space.grid()]
    assert configurations == [(3, 3), (3, 4), (4, 3)]


def test_each_value_and_both_ends_of_each_range_are_sampled():
    space = SearchSpace.parse(BRANCHED)
    points = list(space.samples_of_each())
    assert {point.get("family=plain.conv_depth") for point in points} >= {3, 4, 5}
    assert {point["learning_rate"] for point in points} == {1e-4, 1e-2}
    assert len(points) < 20


def test_whole_and_stepped_ranges_have_a_grid_and_continuous_ones_do_not():
    whole = SearchSpace.parse({"blocks": {"low": 2, "high": 4}})
    assert [point["blocks"] for point in whole.grid()] == [2, 3, 4]
    stepped = SearchSpace.parse({"dropout": {"low": 0.0, "high": 0.5, "step": 0.25}})
    assert [point["dropout"] for point in stepped.grid()] == [0.0, 0.25, 0.5]
    with pytest.raises(ValueError, match=r"space.learning_rate is a continuous range"):
        list(SearchSpace.parse({"learning_rate": {"low": 0.1, "high": 0.2}}).grid())


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"kernel_size": 3}, r"one value belongs under fixed"),
        ({"kernel_size": []}, r"must be a list of values"),
        ({"kernel_size": [3, 3]}, r"names a value twice"),
        ({"dropout": {"low": 1, "high": 0}}, r"got low=1, high=0"),
        ({"dropout": {"low": 0.0, "high": 1.0, "log": True}}, r"log range needs low above 0"),
        ({"dropout": {"low": 0, "high": 1, "stepp": 1}}, r"but not stepp"),
        ({"fc_layers": {"from": "block"}}, r"follows 'block'"),
        ({"blocks": [4, 8], "fc_layers": {"from": "blocks", "map": {4: 1}}}, r"lacks 8"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_name(entry, message):
    with pytest.raises(ValueError, match=message):
        SearchSpace.parse(entry)
