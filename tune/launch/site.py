"""What a site's Slurm needs, in a file that a user writes once and names with `--site`."""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from fairsweep.yaml_text import load_yaml
from tune.launch.errors import LaunchError


class SiteProfile(BaseModel):
    """Settings of `tune launch slurm` that a site needs; options of the command override them."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    time: str | None = None
    gpus_per_node: str | None = None
    cpus_per_node: int | None = None
    partition: str | None = None
    account: str | None = None
    qos: str | None = None
    constraint: str | None = None
    mem: str | None = None
    gres: str | None = None
    sbatch: dict[str, str] = Field(default_factory=dict)
    """Further options of sbatch, by their long name; an empty value for a flag."""
    setup: list[str] = Field(default_factory=list)
    """Shell commands, or paths of files with them, to run before Python on the job's first node."""
    python: str | None = None
    """Command that runs Python on every node."""
    stage_data: bool = False


def read_site(name: str | None) -> SiteProfile:
    """Read the profile of a site; an empty one without a name.

    Args:
        name: Path of the file, or its name without ending in `sites_folder`.

    Raises:
        LaunchError: There is no such file, or it breaks a rule; the message names the key.
        YamlError: It is not valid YAML.
    """
    if name is None:
        return SiteProfile()
    is_path = "/" in name or name.endswith((".yaml", ".yml"))
    path = Path(name).expanduser() if is_path else sites_folder() / f"{name}.yaml"
    try:
        values = load_yaml(path.read_text(encoding="utf-8"), str(path), numbers_as_text=True)
    except FileNotFoundError as error:
        raise LaunchError(_missing(name, path)) from error
    except (OSError, UnicodeDecodeError) as error:
        raise LaunchError(f"--site {path} cannot be read: {error}") from error
    if not isinstance(values, dict):
        raise LaunchError(f"{path} must hold settings such as account: NAME, but holds {values!r}")
    try:
        return SiteProfile.model_validate(values)
    except ValidationError as error:
        raise LaunchError(f"{path}: {_explain(error)}") from error


def sites_folder() -> Path:
    """Return the folder of the user's profiles."""
    base = os.environ.get("XDG_CONFIG_HOME")
    return (Path(base) if base else Path.home() / ".config") / "fairsweep" / "sites"


def _missing(name: str, path: Path) -> str:
    there = sorted(file.stem for file in sites_folder().glob("*.yaml"))
    known = f"; {sites_folder()} has {', '.join(there)}" if there else ""
    return f"--site {name}: {path} does not exist{known}; see docs/slurm.md"


def _explain(error: ValidationError) -> str:
    first = error.errors()[0]
    key = ".".join(map(str, first["loc"]))
    if first["type"] == "extra_forbidden":
        known = ", ".join(SiteProfile.model_fields)
        return f"{key} is not a setting of a site, which are {known}"
    return f"{key}: {first['msg'].lower()}, but got {first['input']!r}"
