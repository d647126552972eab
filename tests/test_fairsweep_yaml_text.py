import pytest

from fairsweep.yaml_text import YamlError, dump_yaml, key_lines, load_yaml


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "x, line 3: the key a is already in line 1; keep one of them"),
        ("a:\n  {b: 1, b: 2}\n", "x, line 2: the key b is already in line 2"),
        ("a:\n- {1: x, true: y}\n", "x, line 2: the key true is already in line 2"),
        ("a: 1\nb: 1:30\n", "x, line 2: 1:30 would be read as a number in base 60"),
        ("a: 1\nb: [1:30.5]\n", "x, line 2: 1:30.5 would be read as a number in base 60"),
        ("a: 1\nb: 010\n", "x, line 2: 010 begins with a zero"),
        ("a: 1\nb: [-0_7]\n", "x, line 2: -0_7 begins with a zero"),
        ("a: 1\nb: [c, No]\n", "x, line 2: No could be a truth value or a name"),
        ("a: 1\non: 2\n", "x, line 2: on could be a truth value or a name"),
        ("a: 1\n? \n: 2\n", "x, line 2: a key is null or empty"),
        ("a: 1\nnull: 2\n", "x, line 2: a key is null or empty"),
        ("a: [\n", "x is not valid YAML: while parsing"),
        ("yes", 'x: yes could be a truth value or a name; write true or false, or "yes" in quotes'),
    ],
)
def test_what_has_two_meanings_is_refused_with_its_line(text, message):
    with pytest.raises(YamlError) as refused:
        load_yaml(text, "x")
    assert str(refused.value).startswith(message)
    assert "\n" not in str(refused.value)


def test_what_has_one_meaning_is_read():
    text = 'a: 1e-3\nb: "010"\nc: 2024-01-01\nd: 0\ne: 0.10\nf: [true, null]\ng: "no"\nh: 007.5\n'
    assert load_yaml(text, "x") == {
        "a": 0.001, "b": "010", "c": "2024-01-01", "d": 0, "e": 0.1, "f": [True, None], "g": "no",
        "h": 7.5,
    }  # fmt: skip
    assert load_yaml("a: &x {b: 1}\nc: {<<: *x, b: 2}", "x")["c"] == {"b": 2}


def test_numbers_stay_as_they_are_written_where_they_are_names():
    found = load_yaml("{007: 1.10, 1:30: 0x10, 8: 1e3, a: true}", "x", numbers_as_text=True)
    assert found == {"007": "1.10", "1:30": "0x10", "8": "1e3", "a": True}
    with pytest.raises(YamlError, match="the key 6 is already in line 1"):
        load_yaml("{6: a, '6': b}", "x", numbers_as_text=True)


@pytest.mark.parametrize("text", ["1e-3", "yes", "010", "1:30", "2024-01-01", "null", "a"])
def test_a_text_is_written_so_that_it_is_read_back(text):
    assert load_yaml(dump_yaml({"key": text, text: 1}), "x") == {"key": text, text: 1}


def test_each_key_has_its_line():
    assert key_lines("a:\n  b: 1\nc:\n- d: 2\n") == {
        ("a",): 1, ("a", "b"): 2, ("c",): 3, ("c", "0"): 4, ("c", "0", "d"): 4,
    }  # fmt: skip
    assert key_lines("") == {}


def test_keys_are_written_in_their_order():
    assert dump_yaml({"b": {"z": 1, "a": [2]}, "a": 3}) == "b:\n  z: 1\n  a:\n  - 2\na: 3\n"
