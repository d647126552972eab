"""Reads and writes YAML, and refuses values that YAML 1.1 and users read differently.

YAML 1.1 reads ``1:30`` as ninety, ``010`` as eight and ``no`` as false, and keeps the last of two
equal keys. Users mean something else, so each of these is an error that names the line.
"""

import re
from collections.abc import Hashable, Iterator
from typing import Any

import yaml

try:  # The parser in C is ten times as fast; a PyYAML that was built without libyaml lacks it.
    from yaml import CSafeLoader as SafeLoader
except ImportError:
    from yaml import SafeLoader  # type: ignore[assignment]  # mypy allows a name one class only

from fairsweep.errors import UserError, one_line

_TAG = "tag:yaml.org,2002:"
_NUMBERS = (f"{_TAG}int", f"{_TAG}float")
_WORDS = frozenset({"yes", "no", "on", "off"})
_EXPONENT = re.compile(r"^[-+]?(\d+(\.\d*)?|\.\d+)([eE][-+]?\d+)$")
"""A number such as 1e-3, which is a number in YAML 1.2, but text to PyYAML."""
_LEADING_ZERO = re.compile(r"[-+]?0[0-9_]+")


class YamlError(UserError):
    """A text is not YAML or is ambiguous; the message is one line."""


def load_yaml(text: str, source: str, *, numbers_as_text: bool = False) -> Any:
    """Read one YAML document.

    Args:
        text: The document.
        source: Name of the document in messages.
        numbers_as_text: Keep every number as text, so that ``007`` and ``1.10`` are names.

    Raises:
        YamlError: ``text`` is not YAML, has a key twice on one level, or holds an ambiguous value;
            the message names the line.
    """
    try:
        return yaml.load(text, Loader=_TextLoader if numbers_as_text else _Loader)
    except _AmbiguousError as error:
        where = source if "\n" not in text else f"{source}, line {error.line}"
        raise YamlError(f"{where}: {error}") from None
    except yaml.YAMLError as error:
        raise YamlError(f"{source} is not valid YAML: {one_line(error)}") from error


def dump_yaml(values: Any) -> str:
    """Return YAML that `load_yaml` reads back unchanged."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, width=100)


def key_lines(text: str) -> dict[tuple[str, ...], int]:
    """Return the line of each key in a valid document, by its path from the top."""
    root = yaml.compose(text, Loader=_Loader)
    return {} if root is None else dict(_walk(root, ()))


def _walk(node: yaml.Node, path: tuple[str, ...]) -> Iterator[tuple[tuple[str, ...], int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            inner = (*path, str(key.value))
            yield inner, key.start_mark.line + 1
            yield from _walk(value, inner)
    elif isinstance(node, yaml.SequenceNode):
        for place, value in enumerate(node.value):
            inner = (*path, str(place))
            yield inner, value.start_mark.line + 1
            yield from _walk(value, inner)


class _AmbiguousError(Exception):
    """A value or key is ambiguous."""

    def __init__(self, message: str, node: yaml.Node) -> None:
        super().__init__(message)
        self.line = node.start_mark.line + 1


class _Loader(SafeLoader):
    """PyYAML's safe loader, which also refuses ambiguous values."""

    numbers_as_text = False

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        """Refuse a plain scalar that YAML 1.1 and 1.2 read differently."""
        if isinstance(node, yaml.ScalarNode) and not node.style:
            _check_word(node)
            if node.tag in _NUMBERS and not self.numbers_as_text:
                _check_number(node)
        return super().construct_object(node, deep)

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        """Refuse a key that occurs twice on one level."""
        seen: dict[Hashable, yaml.Node] = {}
        for key_node, _ in node.value:
            if key_node.tag == f"{_TAG}merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if key is None:
                message = 'a key is null or empty; write "null" in quotes for a name'
                raise _AmbiguousError(message, key_node)
            if isinstance(key, Hashable) and key in seen:
                first = seen[key].start_mark.line + 1
                message = f"the key {key_node.value} is already in line {first}; keep one of them"
                raise _AmbiguousError(message, key_node)
            if isinstance(key, Hashable):
                seen[key] = key_node
        return super().construct_mapping(node, deep)


def _check_word(node: yaml.ScalarNode) -> None:
    text = node.value
    if node.tag == f"{_TAG}bool" and text.lower() in _WORDS:
        way_out = f'write true or false, or "{text}" in quotes for a name'
        raise _AmbiguousError(f"{text} could be a truth value or a name; {way_out}", node)


def _check_number(node: yaml.ScalarNode) -> None:
    text = node.value
    if ":" in text:
        way_out = f'write the number itself, or "{text}" in quotes for a text'
        raise _AmbiguousError(f"{text} would be read as a number in base 60; {way_out}", node)
    if _LEADING_ZERO.fullmatch(text):
        way_out = f'write the number without it, or "{text}" in quotes for a text'
        raise _AmbiguousError(f"{text} begins with a zero, as octal numbers do; {way_out}", node)


def _without(*tags: str) -> dict[str, list[tuple[str, re.Pattern[str]]]]:
    return {
        first: [resolver for resolver in resolvers if resolver[0] not in tags]
        for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }


# No setting is a date, so 2024-01-31 is a name.
_Loader.yaml_implicit_resolvers = _without(f"{_TAG}timestamp")
_Loader.add_implicit_resolver(f"{_TAG}float", _EXPONENT, list("-+.0123456789"))


class _TextLoader(_Loader):
    """Keeps numbers as text."""

    numbers_as_text = True


def _as_written(_loader: _TextLoader, node: yaml.Node) -> str:
    return str(node.value)


for _tag in _NUMBERS:
    _TextLoader.add_constructor(_tag, _as_written)


class _Dumper(yaml.SafeDumper):
    """Puts quotes around a text that `_Loader` would read as a number."""


_Dumper.add_implicit_resolver(f"{_TAG}float", _EXPONENT, list("-+.0123456789"))
