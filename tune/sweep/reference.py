"""The reference of a spec: every key and hyperparameter with its rule, default, meaning, example.

All of it is made from the declarations (`tune.sweep.spec`, `models.hyperparameters`), so that it
cannot differ from what a spec may hold.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

from pydantic import TypeAdapter

from fairsweep.errors import UserError, nearest
from fairsweep.schema_words import Schema, allowed, options_of
from fairsweep.yaml_text import dump_yaml
from models.hyperparameters import Hyperparameters
from models.registry import FAMILIES
from tune.run.trial import COSTS, LATENCY, METRICS
from tune.sweep.auto import AUTO
from tune.sweep.schedulers.registry import SCHEDULERS
from tune.sweep.searchers.registry import SEARCHERS
from tune.sweep.spec import SweepSpec

RECORDS = ("code", "networks", "searcher.reason")
"""Keys that a run adds to its copy of the spec."""
_NAMES: Mapping[str, tuple[str, ...]] = {
    "searcher.name": (AUTO, *SEARCHERS),
    "scheduler.name": tuple(SCHEDULERS),
    "objective.metric": (*METRICS, *COSTS, LATENCY),
}
_SHORT = ("objective", "searcher", "scheduler")
"""Keys that can be a plain name."""
_EXAMPLES: Mapping[str, Any] = {
    "name": "faces",
    "data": "data/faces",
    "train": "mine.training:train",
    "objective": ["val_accuracy", "parameters"],
    "objective.metric": "val_macro_f1",
    "fixed": {"family": "resnet", "epochs": 20},
    "space": {
        "kernel_size": [3, 5],
        "learning_rate": {"low": 1e-4, "high": 1e-2, "log": True},
    },
    "searcher": {"name": "tpe", "samples": 30},
    "searcher.samples": 30,
    "searcher.population": 20,
    "scheduler": {"name": "asha", "grace_period": 2},
    "scheduler.brackets": 3,
    "folds": 10,
    "resources": {"cpus": 1, "gpus": 0.25},
    "resources.trials_at_once": 4,
    "budget": {"hours": 8},
    "budget.hours": 8,
    "budget.device_hours": 24,
    "limits": {"parameters": 1_000_000, "latency_ms": 5},
    "limits.parameters": 1_000_000,
    "limits.mflop": 50,
    "limits.latency_ms": 5,
    "first": [{"kernel_size": 5}],
    "warm_start": "runs/other",
    "loggers": ["tensorboard"],
    "notify": {"url": "$WEBHOOK"},
    "notify.url": "$WEBHOOK",
    "notify.command": "$NOTIFY",
    "architecture": "efficientnet_b0",
    "pretrained": "imagenet",
    "head_learning_rate": 0.01,
    "image_size": 32,
    "oversample": "age=child:4",
    "sample_weights": "age=child:4",
    "balance": "label",
}
"""Examples of keys whose default is empty or says little."""
_BESIDE: Mapping[str, Mapping[str, Any]] = {"scheduler.brackets": {"name": "hyperband"}}
"""Keys beside that of an example without which it is refused."""


@dataclass(frozen=True, kw_only=True)
class Key:
    """One key of a spec, or one hyperparameter under ``fixed`` and ``space``."""

    name: str
    """Dotted path in the spec, or the hyperparameter's name."""
    allowed: str
    """The rule that its values follow, in words."""
    default: str
    """Its default as YAML; ``by family`` if each family has its own; empty if there is none."""
    meaning: str
    example: str
    """Lines of YAML."""
    families: tuple[str, ...] = ()
    """Network families that use it, if it shapes the network."""


@cache
def spec_keys() -> Mapping[str, Key]:
    """Return every key of a spec by its dotted path, in the order of the declaration."""
    schema = SweepSpec.model_json_schema()
    return {key.name: key for key in _keys(schema, schema["$defs"])}


def _keys(schema: Schema, parts: Schema, prefix: str = "") -> Iterator[Key]:
    required = schema.get("required", ())
    for name, entry in schema["properties"].items():
        path = f"{prefix}{name}"
        if path in RECORDS:
            continue
        part = _part_of(entry, parts)
        yield Key(
            name=path,
            allowed=_allowed(path, entry),
            default="" if path in required or part else _yaml(entry.get("default")),
            meaning=_plain(entry["description"]),
            example=_example(path, entry),
        )
        if part is not None:
            yield from _keys(part, parts, f"{path}.")


def _part_of(entry: Schema, parts: Schema) -> Schema | None:
    """Return the schema of the mapping that a key may hold; None if it holds no fixed keys."""
    for option in options_of(entry):
        reference = option.get("items", option).get("$ref", "")
        if reference:
            part: Schema = parts[reference.rpartition("/")[2]]
            return part
    return None


def _allowed(path: str, entry: Schema) -> str:
    if path in _NAMES:
        return f"one of {', '.join(_NAMES[path])}"
    words = allowed(entry)
    return f"a name, or {words}" if path in _SHORT else words


@cache
def hyperparameters() -> Mapping[str, Key]:
    """Return every hyperparameter by its name, in the order of the declaration."""
    entries = TypeAdapter(Hyperparameters).json_schema()["properties"]
    return {name: _hyperparameter(name, entry) for name, entry in entries.items()}


def _hyperparameter(name: str, entry: Schema) -> Key:
    defaults = {
        f: family.defaults[name] for f, family in FAMILIES.items() if name in family.defaults
    }
    default = _yaml(entry["default"])
    if len(set(defaults.values())) == 1:
        default = _yaml(next(iter(defaults.values())))
    elif defaults:
        default = ", ".join(f"{_yaml(value)} ({family})" for family, value in defaults.items())
    rule = allowed(entry)
    if name == "family":
        rule = f"one of {', '.join(FAMILIES)}, timm:NAME, or package.module:name"
    value = _EXAMPLES.get(name, next(iter(defaults.values()), entry["default"]))
    return Key(
        name=name,
        allowed=rule,
        default=default,
        meaning=_plain(entry["description"]),
        example=_lines({"fixed": {name: value}}),
        families=tuple(defaults),
    )


def find_keys(name: str) -> tuple[Key, ...]:
    """Return the key with a name, and those below it.

    Raises:
        UserError: There is none.
    """
    known = {**spec_keys(), **hyperparameters()}
    short = name.removeprefix("fixed.").removeprefix("space.")
    found = [key for path, key in known.items() if path == short or path.startswith(f"{short}.")]
    if not found:
        raise UserError(
            f"{name!r} is neither a key of a spec nor a hyperparameter; the nearest is "
            f"{nearest(name, known)!r}, and `python -m tune keys` lists all"
        )
    return tuple(found)


def spec_schema() -> dict[str, Any]:
    """Return the JSON schema of a spec file, with which editors check and complete it."""
    schema = SweepSpec.model_json_schema()
    properties = schema["properties"]
    for record in RECORDS:
        beside, key = _mapping_of(record, schema)
        del beside[key]
    for key in _SHORT:
        properties[key] = {"anyOf": [{"type": "string"}, *_one_or_many(properties[key])]}
    for path, names in _NAMES.items():
        beside, key = _mapping_of(path, schema)
        beside[key]["enum"] = list(names)
    values = TypeAdapter(Hyperparameters).json_schema()["properties"]
    properties["fixed"]["properties"] = values
    properties["space"]["properties"] = {
        name: {"description": value["description"]} for name, value in values.items()
    }
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _one_or_many(schema: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the schema, and that of a single entry if it is a list."""
    return [schema, schema["items"]] if "items" in schema else [schema]


def _mapping_of(path: str, schema: Schema) -> tuple[dict[str, Any], str]:
    """Return the schemas of the keys beside a dotted path, to be changed, and the last key."""
    part, _, key = path.rpartition(".")
    types = {"searcher": "SearcherSpec", "scheduler": "SchedulerSpec", "objective": "ObjectiveSpec"}
    within: Schema = schema["$defs"][types[part]] if part else schema
    return within["properties"], key


def _example(path: str, entry: Schema) -> str:
    value = _EXAMPLES.get(path, entry.get("default"))
    *parents, last = path.split(".")
    value = {**_BESIDE.get(path, {}), last: value}
    for name in reversed(parents):
        value = {name: value}
    return _lines(value)


def _plain(docstring: str) -> str:
    """Return a docstring as one line, without the marks of code."""
    return " ".join(docstring.replace("``", "`").split())


def _yaml(value: Any) -> str:
    return "" if value in (None, "") else _lines(value).removesuffix("\n...").strip()


def _lines(value: Any) -> str:
    return dump_yaml(value).strip()
