import re
from pathlib import Path

import pytest
import yaml

from data_prep.sources_file import Source, SourcesFile, read_sources

CLASSES = ["neutral", "angry"]
SOURCE = {"name": "a", "path": "x"}


def read(tmp_path, **changes):
    path = tmp_path / "my sources.yaml"
    path.write_text(yaml.safe_dump({"classes": CLASSES, "sources": [SOURCE], **changes}))
    return read_sources(path)


def refusal(tmp_path, **changes):
    with pytest.raises(ValueError, match=r"my sources.yaml") as refused:
        read(tmp_path, **changes)
    return re.sub(r"^.*my sources.yaml(, line \d+)?: ", "", str(refused.value))


def test_what_is_left_out_has_a_sound_value(tmp_path):
    file = read(tmp_path)
    assert (file.name, file.image_size, file.classes) == (None, 48, ("neutral", "angry"))
    (source,) = file.sources
    assert source == Source(name="a", path=Path("x"), dataset=None, map=None, trim_margin=False)
    assert (source.limit, source.expect) == ({}, {})


def test_an_equal_name_goes_before_one_in_another_case_and_then_the_first_counts():
    source = Source(name="a", path="x", fold_case=True, map={"Happy": "joy", "happy": "fun"})
    names = ("happy", "Happy", "HAPPY", " hap py")
    assert [source.class_of(name, ()) for name in names] == ["fun", "joy", "joy", None]
    strict = source.model_copy(update={"fold_case": False})
    assert strict.class_of("HAPPY", ()) is None
    plain = Source(name="a", path="x", fold_case=True)
    assert plain.class_of(" neutral ", ("Neutral", "neutral")) == "Neutral"
    assert plain.class_of("neutral", ("Neutral", "neutral")) == "neutral"


def test_folders_that_are_numbers_are_names(tmp_path):
    source = {**SOURCE, "map": {6: "angry", 7: None}, "limit": {"angry": 0}, "expect": {6: 3}}
    (source,) = read(tmp_path, sources=[source]).sources
    assert source.map == {"6": "angry", "7": None}
    assert source.expect == {"6": 3}
    assert source.class_of("6", ("neutral", "angry")) == "angry"
    assert source.class_of("7", ("neutral", "angry")) is None
    assert source.class_of("neutral", ("neutral", "angry")) is None  # the map alone decides


def test_without_a_map_names_stand_for_themselves():
    source = Source(name="a", path=Path("x"))
    assert source.class_of("angry", ("neutral", "angry")) == "angry"
    assert source.class_of("Angry", ("neutral", "angry")) is None


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"image_sise": 9}, "image_sise is unknown; did you mean 'image_size'?"),
        ({"xyzzy": 9}, "xyzzy is unknown; known are " + ", ".join(SourcesFile.model_fields)),
        (
            {"sources": [SOURCE, {**SOURCE, "name": "b", "expects": {}}]},
            "sources.1.expects is unknown; did you mean 'expect'?",
        ),
        (
            {"sources": [{**SOURCE, "qqq": 1}]},
            "sources.0.qqq is unknown; known are " + ", ".join(Source.model_fields),
        ),
        (
            {"sources": [{**SOURCE, "dataset": "y"}]},
            "sources.0: give either dataset (a prepared one) or path (class folders)",
        ),
        (
            {"sources": [{"name": "a", "dataset": "y", "trim_margin": True}]},
            "sources.0: trim_margin goes with path; a prepared dataset is taken as it is",
        ),
        *(
            (
                {"sources": [{"name": "a", "dataset": "y", **more}]},
                "sources.0: labels, columns and votes go with path; a prepared dataset has its own",
            )
            for more in ({"labels": "l.csv"}, {"columns": {"label": "x"}}, {"votes": "v.csv"})
        ),
        (
            {"sources": [SOURCE, {**SOURCE, "name": "b"}, {**SOURCE, "name": "b"}]},
            "sources names 'b' twice; give each a name of its own",
        ),
        ({"classes": ["b", "a", "a"]}, "classes names 'a' twice; give each a name of its own"),
        (
            {"sources": [{**SOURCE, "limit": {"sad": 4}}]},
            "source 'a' names the class 'sad', but classes are neutral, angry",
        ),
        (
            {"sources": [{**SOURCE, "map": {"x": None, "y": "sad"}}]},
            "source 'a' names the class 'sad', but classes are neutral, angry",
        ),
    ],
)
def test_a_broken_rule_is_told_with_its_place(tmp_path, changes, message):
    assert refusal(tmp_path, **changes) == message


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"classes": ["a"]}, "classes"),
        ({"sources": []}, "sources"),
        ({"image_size": 7}, "image_size"),
        ({"image_size": 1025}, "image_size"),
        ({"sources": [{**SOURCE, "name": "a b"}]}, "sources.0.name"),
        ({"sources": [{**SOURCE, "name": "a/b"}]}, "sources.0.name"),
        ({"sources": [{"path": "x"}]}, "sources.0.name"),
    ],
)
def test_a_value_out_of_range_is_told_with_its_place(tmp_path, changes, place):
    assert refusal(tmp_path, **changes).startswith(f"{place}: ")


def test_the_smallest_and_the_largest_side_are_allowed(tmp_path):
    assert [read(tmp_path, image_size=side).image_size for side in (8, 1024)] == [8, 1024]
    assert read(tmp_path, sources=[{**SOURCE, "name": "RAF-db_2.0"}]).sources[0].name


def test_other_files_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match="does not exist; give --config a sources file"):
        read_sources(tmp_path)
    path = tmp_path / "my sources.yaml"
    for content, message in (
        (b"a: [1,\nb: 2", "is not valid YAML: "),
        (b"\xff\xfe", "is not valid YAML, which is UTF-8 text: "),
        (b"- a\n", "must hold name, classes and sources, but holds ['a']"),
        (b"", "must hold name, classes and sources, but holds None"),
    ):
        path.write_bytes(content)
        with pytest.raises(ValueError, match=r"my sources.yaml") as refused:
            read_sources(path)
        assert message in str(refused.value)
        assert "\n" not in str(refused.value)


HEAD = "classes: [0, 1, null0]\nsources:\n- name: a\n  path: x\n"


def written(tmp_path, text):
    path = tmp_path / "s.yaml"
    path.write_text(text)
    return read_sources(path)


def test_whole_numbers_are_class_names_and_names_stay_as_they_are_written(tmp_path):
    text = HEAD.replace("null0", "1.10")
    file = written(tmp_path, f"{text}  map: {{007: 0, 1e3: 1, 0x1F: 1.10}}\n  limit: {{1: 20}}\n")
    assert file.classes == ("0", "1", "1.10")
    assert file.sources[0].map == {"007": "0", "1e3": "1", "0x1F": "1.10"}
    assert file.sources[0].limit == {"1": 20}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (f"{HEAD}  map: {{a: 0, b: 1, a: 1}}\n", "s.yaml, line 5: the key a is already in line 5"),
        (f"{HEAD}  map: {{no: 0}}\n", "s.yaml, line 5: no could be a truth value or a name"),
        (
            f"{HEAD}  map: {{true: 0}}\n",
            "s.yaml, line 5: sources.0.map: true is not a name",
        ),
        (f"{HEAD}  map: {{a: true}}\n", "s.yaml, line 5: sources.0.map.a: true is not a name"),
        (
            HEAD.replace("null0", "null"),
            's.yaml, line 1: classes.2: null is not a name; write "null"',
        ),
        (HEAD.replace("null0", "on"), "s.yaml, line 1: on could be a truth value or a name"),
        (
            HEAD.replace("null0", "'Null'") + "  map: {a: 0, b: null}\n",
            "has null without quotes, which could be the class 'Null'; write \"Null\" in quotes",
        ),
        (f"{HEAD}  expekt: {{}}\n", "s.yaml, line 5: sources.0.expekt is unknown"),
        (HEAD.replace("name: a\n  ", ""), "s.yaml, line 3: sources.0.name: "),
    ],
)
def test_a_name_that_could_be_something_else_is_refused_with_its_line(tmp_path, text, message):
    with pytest.raises(ValueError, match=r"s.yaml") as refused:
        written(tmp_path, text)
    assert message in str(refused.value)
