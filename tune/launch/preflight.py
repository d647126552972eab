"""Checks a cluster's node before a sweep starts there: versions, GPUs, token, shared folder."""

import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_SAME = ("ray", "torch")
"""Packages that must have the same version on all nodes, as Python must."""


@dataclass(frozen=True, kw_only=True)
class NodeFacts:
    """What a node reports about itself."""

    versions: Mapping[str, str]
    """Versions of Python and of the packages that must be the same on all nodes."""
    gpus: int
    """GPUs that torch sees."""
    token: str
    """Fingerprint of the token that Ray would use there; empty if there is none."""
    unwritable: str
    """Why the node cannot write to the folder of the runs; empty if it can."""

    def to_json(self) -> str:
        """Return the facts as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> "NodeFacts":
        """Read back what `to_json` wrote.

        Raises:
            ValueError: ``line`` was not written by it.
        """
        values: Any = json.loads(line)
        if not isinstance(values, dict) or set(values) != set(cls.__dataclass_fields__):
            raise ValueError(f"not the facts of a node: {line}")
        return cls(**values)


def look(mark: Path, *, gpus: bool) -> NodeFacts:
    """Return the facts of this node, and write the file ``mark`` into the folder of the runs.

    Args:
        mark: The file to write; the caller checks from its own node that it is there.
        gpus: Whether to count GPUs, which imports torch.
    """
    try:
        mark.write_text("", encoding="utf-8")
        unwritable = ""
    except OSError as error:
        unwritable = error.strerror or str(error)
    versions = {name: importlib.metadata.version(name) for name in _SAME}
    return NodeFacts(
        versions={"Python": platform.python_version(), **versions},
        gpus=_count_gpus() if gpus else 0,
        token=token_fingerprint(os.environ.get("RAY_AUTH_TOKEN", "")),
        unwritable=unwritable,
    )


def token_fingerprint(token: str) -> str:
    """Return a short hash, to compare two tokens without showing them."""
    return hashlib.sha256(token.encode()).hexdigest()[:12] if token else ""


def complaints(
    node: str, facts: NodeFacts, *, expected: NodeFacts, gpus: int, mark: Path
) -> Iterable[str]:
    """Yield a line for each thing that is wrong with a node.

    Args:
        node: Its name.
        facts: What it reported.
        expected: What the driver's own node reports.
        gpus: How many GPUs were requested on each node.
        mark: The file that the node should have written.
    """
    for name, version in expected.versions.items():
        if facts.versions[name] != version:
            yield (
                f"{node} has {name} {facts.versions[name]}, but the driver has {version}; "
                "use one environment on all nodes"
            )
    if facts.unwritable:
        yield f"{node} cannot write to {mark.parent.absolute()}: {facts.unwritable}"
    elif not mark.exists():
        yield (
            f"{node} does not share the folder {mark.parent.absolute()} with the driver; start the "
            "sweep in a folder that all nodes share"
        )
    if facts.gpus < gpus:
        yield f"torch sees {facts.gpus} GPUs on {node}, but {gpus} were requested"
    if facts.token != expected.token:
        yield (
            f"{node} has a different Ray token than the driver; "
            "remove RAY_AUTH_TOKEN from its start-up files"
        )


def _count_gpus() -> int:
    import torch

    return torch.cuda.device_count()
