import pytest

from tune.sweep.space import Choice, Range, SearchSpace

STUDY = {
    "kernel_size": [3, 5, 7],
    "blocks": [4, 8],
    "channels": [16, 32],
    "fc_layers": {"from": "blocks", "map": {4: 1, 8: 2}},
}
BRANCHED = {
    "family": {
        "resnet": {"kernel_size": [3, 5], "blocks": [4, 8]},
        "plain": {"kernel_size": [3, 4], "stages": [3, 4, 5]},
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
    assert {point.get("family=plain.stages") for point in points} >= {3, 4, 5}
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
        ({"fc_layers": {"from": "block"}}, r"is tied to 'block'"),
        ({"blocks": [4, 8], "fc_layers": {"from": "blocks", "map": {4: 1}}}, r"lacks 8"),
    ],
)
def test_a_wrong_entry_is_refused_with_its_name(entry, message):
    with pytest.raises(ValueError, match=message):
        SearchSpace.parse(entry)


def test_the_last_hyperparameter_of_a_grid_varies_fastest():
    space = SearchSpace.parse({"channels": [32, 16], "kernel_size": {"low": 3, "high": 4}})
    assert [tuple(point.values()) for point in space.grid()] == [
        (32, 3), (32, 4), (16, 3), (16, 4),
    ]  # fmt: skip


def test_a_range_holds_its_ends_its_steps_and_numbers_only():
    whole = Range(low=2, high=4)
    assert [value for value in (1, 2, 2.5, 3.0, 4, 5, "3", True) if whole.holds(value)] == [
        2, 3.0, 4,
    ]  # fmt: skip
    stepped = Range(low=0.0, high=0.3, step=0.1)
    assert [value for value in (0.0, 0.05, 0.1, 0.2, 0.3, 0.4) if stepped.holds(value)] == [
        0.0, 0.1, 0.2, 0.3,
    ]  # fmt: skip
    assert stepped.values == pytest.approx((0.0, 0.1, 0.2, 0.3))
    cut = Range(low=0.0, high=0.35, step=0.1)
    assert cut.values == pytest.approx((0.0, 0.1, 0.2, 0.3))
    assert not cut.holds(0.35)
    continuous = Range(low=0.5, high=1.0)
    assert [value for value in (0.49, 0.5, 0.75, 1, 1.01) if continuous.holds(value)] == [
        0.5, 0.75, 1,
    ]  # fmt: skip
    assert continuous.values is None
    assert Range(low=1, high=100, log=True).values is None
    assert Range(low=1, high=7, step=3).values == (1, 4, 7)
    assert not Range(low=1.0, high=7, step=3).whole


def test_true_and_one_are_told_apart():
    assert Choice(values=(True, "a")).holds(True)
    assert not Choice(values=(True, "a")).holds(1)
    assert not Choice(values=(0, 1)).holds(False)
    for one in (Range(low=0, high=2), Range(low=0.0, high=2.0)):
        assert one.holds(1)
        assert not any(one.holds(value) for value in (True, "1", None))


def test_samples_of_branches_within_branches_are_points_and_cover_all_values():
    inner = {"p": {"c": [1, 2]}, "q": {"d": [3, 4]}}
    space = SearchSpace.parse({"a": {"x": {"b": inner}, "y": {"e": {"low": 0.5, "high": 1.5}}}})
    points = list(space.samples_of_each())
    assert all(space.holds(point) for point in points)
    assert [tuple(point.values()) for point in points] == [
        ("x", "p", 1), ("x", "p", 2), ("x", "q", 3), ("x", "q", 4), ("y", 0.5), ("y", 1.5),
    ]  # fmt: skip


def test_a_point_is_located_by_the_values_of_its_free_choices():
    space = SearchSpace.parse(BRANCHED)
    known = {"family": "plain", "kernel_size": 4, "stages": 5, "learning_rate": 1e-3}
    point = {
        "family": "plain", "family=plain.kernel_size": 4, "family=plain.stages": 5,
        "learning_rate": 1e-3,
    }  # fmt: skip
    assert space.locate({**known, "blocks": 9}) == point
    assert space.at(point) == known
    assert list(space.domains(point)) == list(point)
    assert space.locate({**known, "family": "resnet"}) is None
    assert space.locate({**known, "learning_rate": 0.02}) is None
    assert space.locate({**known, "kernel_size": 5}) is None
    assert space.holds(point)
    assert not space.holds({**point, "family=resnet.blocks": 4})
    assert not space.holds({**point, "learning_rate": 1.0})
    assert not space.holds({key: point[key] for key in list(point)[:-1]})


def test_a_tie_follows_the_choice_or_equals_it():
    space = SearchSpace.parse(
        {"fc_layers": {"from": "blocks", "map": {4: 1, 8: 2}}, "blocks": [4, 8],
         "channels": {"from": "blocks"}}
    )  # fmt: skip
    assert [space.at(point) for point in space.grid()] == [
        {"fc_layers": 1, "blocks": 4, "channels": 4},
        {"fc_layers": 2, "blocks": 8, "channels": 8},
    ]
    assert space.names() == ("fc_layers", "blocks", "channels")
    assert list(space.at({"blocks": 8})) == ["fc_layers", "blocks", "channels"]
    assert space.locate({"blocks": 8}) == {"blocks": 8}
    assert not space.conditional


def test_a_tie_inside_a_branch_follows_a_choice_of_the_same_branch():
    space = SearchSpace.parse(
        {"family": {"resnet": {"blocks": [4, 8], "fc_layers": {"from": "blocks"}}, "plain": {}}}
    )
    assert space.all_ties() == {"fc_layers": "blocks"}
    assert space.names() == ("family", "blocks", "fc_layers")
    assert [space.at(point) for point in space.grid()] == [
        {"family": "resnet", "blocks": 4, "fc_layers": 4},
        {"family": "resnet", "blocks": 8, "fc_layers": 8},
        {"family": "plain"},
    ]


def test_samples_begin_with_the_first_values_and_vary_one_choice_at_a_time():
    space = SearchSpace.parse({"kernel_size": [7, 3], "blocks": {"low": 1, "high": 9}})
    assert [tuple(point.values()) for point in space.samples_of_each()] == [(7, 1), (3, 1), (7, 9)]


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"low": 1, "high": 1}, "low must be below high, but got low=1, high=1"),
        ({"low": 0, "high": 1, "log": True}, "log range needs low above 0"),
        ({"low": 1, "high": 9, "log": True, "step": 2}, "and no step"),
        ({"low": 1, "high": 9, "step": 0}, "step must be above 0, but got 0"),
        ({"low": "a", "high": 9}, "low, high and step must be numbers"),
    ],
)
def test_a_wrong_range_is_refused(entry, message):
    with pytest.raises(ValueError, match=rf"space\.blocks.*{message}"):
        SearchSpace.parse({"blocks": entry})


def test_one_and_true_are_two_values_of_a_list():
    choice = SearchSpace.parse({"pretrained": [1, True]}).entries["pretrained"]
    assert list(map(repr, choice.values)) == ["1", "True"]


def test_a_continuous_range_cannot_be_mapped():
    entries = {"dropout": {"low": 0.0, "high": 0.5}, "blocks": {"from": "dropout", "map": {0.0: 1}}}
    with pytest.raises(ValueError, match="must map every value of dropout, but lacks those of a"):
        SearchSpace.parse(entries)


def test_each_value_of_a_stepped_range_is_in_it_and_none_a_little_off_a_step():
    stepped = Range(low=0.0, high=0.3, step=0.1)
    assert stepped.values[-1] > 0.3, "the last is a rounding error above the end"
    assert all(map(stepped.holds, stepped.values))
    assert not stepped.holds(0.1001)
    assert not stepped.holds(-0.1)
    assert not stepped.holds(0.4)


@pytest.mark.parametrize(
    "entries",
    [
        {"blocks": [1, 2], "channels": {"from": "blocks"}, "fc_layers": {"from": "channels"}},
        {"family": {"plain": {}, "resnet": {}}, "fc_layers": {"from": "family"}},
    ],
)
def test_a_hyperparameter_follows_a_list_or_a_range_alone(entries):
    with pytest.raises(ValueError, match="must be a list or a range in the same space, but is not"):
        SearchSpace.parse(entries)


def test_a_mapping_of_a_whole_number_range_has_each_of_its_values():
    entries = {"blocks": {"low": 1, "high": 3}, "fc_layers": {"from": "blocks", "map": {1: 1}}}
    with pytest.raises(ValueError, match=r"map every value of blocks, but lacks 2, 3$"):
        SearchSpace.parse(entries)


@pytest.mark.parametrize("entry", [[3, [5]], [3, None], [], {}, {"x": {}, "y": 4}])
def test_an_entry_that_is_only_half_a_space_is_refused(entry):
    with pytest.raises(ValueError, match=r"^space\.blocks must be a list of values, a range"):
        SearchSpace.parse({"blocks": entry})
