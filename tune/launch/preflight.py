"""What each node of a cluster must have before a sweep starts on it, and which node has it not."""

import hashlib
import importlib.metadata
import json
import os
import platform
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

_ALIKE = ("ray", "torch")
"""Packages that must have one version on all nodes; Python too."""


@dataclass(frozen=True, kw_only=True)
class NodeFacts:
    """What a node says of itself."""

    versions: Mapping[str, str]
    """Of Python and of the packages that must be alike."""
    gpus: int
    """GPUs that torch sees."""
    token: str
    """Fingerprint of the token that Ray would use there; empty where there is none."""
    unwritable: str
    """Why the folder of the runs cannot be written, or nothing."""

    def to_json(self) -> str:
        """Return the facts as one line."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, line: str) -> "NodeFacts":
        """Read back what `to_json` wrote.

        Raises:
            ValueError: It is something else.
        """
        values: Any = json.loads(line)
        if not isinstance(values, dict) or set(values) != set(cls.__dataclass_fields__):
            raise ValueError(f"no facts of a node: {line}")
        return cls(**values)


def look(mark: Path, *, gpus: bool) -> NodeFacts:
    """Return the facts of this node, and leave the file ``mark`` in the folder of the runs.

    Args:
        mark: The file to write; the caller looks from its own node whether it sees it.
        gpus: Whether to count GPUs, for which torch must be imported.
    """
    try:
        mark.write_text("", encoding="utf-8")
        unwritable = ""
    except OSError as error:
        unwritable = error.strerror or str(error)
    versions = {name: importlib.metadata.version(name) for name in _ALIKE}
    return NodeFacts(
        versions={"Python": platform.python_version(), **versions},
        gpus=_count_gpus() if gpus else 0,
        token=token_fingerprint(os.environ.get("RAY_AUTH_TOKEN", "")),
        unwritable=unwritable,
    )


def token_fingerprint(token: str) -> str:
    """Return what tells two tokens apart without giving either away."""
    return hashlib.sha256(token.encode()).hexdigest()[:12] if token else ""


def complaints(
    node: str, facts: NodeFacts, *, expected: NodeFacts, gpus: int, mark: Path
) -> Iterable[str]:
    """Say what is wrong with a node, a line for each thing.

    Args:
        node: Its name.
        facts: What it said.
        expected: What the driver's own node says.
        gpus: How many GPUs were asked for on each node.
        mark: The file that the node was to write.
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
            f"{node} writes to a {mark.parent.absolute()} of its own; start the sweep in a folder "
            "that all nodes share"
        )
    if facts.gpus < gpus:
        yield f"{node} has {facts.gpus} GPUs that torch sees, but {gpus} were asked for"
    if facts.token != expected.token:
        yield (
            f"{node} has another token for Ray than the driver; "
            "remove RAY_AUTH_TOKEN from its start-up files"
        )


def _count_gpus() -> int:
    import torch

    return torch.cuda.device_count()
