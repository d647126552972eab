"""The sweep spec: one YAML file that says what to search, checked before anything runs."""

import difflib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    ConfigDict,
    Field,
    SerializerFunctionWrapHandler,
    ValidationError,
    ValidationInfo,
    field_serializer,
    field_validator,
    model_serializer,
)

from data_prep.manifest import FOLDS
from fairsweep.errors import UserError
from fairsweep.own_code.reference import is_own, is_timm
from fairsweep.own_code.signature import Signature
from fairsweep.urls import check_url
from fairsweep.yaml_text import YamlError, dump_yaml, key_lines, load_yaml
from models.config import FIELDS, TrainConfig
from models.config_ids import DRAW
from models.file_hash import pin_weights
from tune.run.directory import LEDGER_FILE
from tune.run.trial import COSTS, LATENCY
from tune.sweep import auto
from tune.sweep.configuration import Configuration
from tune.sweep.first import first_points
from tune.sweep.networks import OwnNetwork, own_families
from tune.sweep.own_config import FRAME, OwnConfig, TrainingCode
from tune.sweep.space import Point, SearchSpace
from tune.sweep.spec_parts import Budget as Budget
from tune.sweep.spec_parts import CodeRecord as CodeRecord
from tune.sweep.spec_parts import LimitsSpec as LimitsSpec
from tune.sweep.spec_parts import NotifySpec as NotifySpec
from tune.sweep.spec_parts import ObjectiveSpec as ObjectiveSpec
from tune.sweep.spec_parts import Part, has_own_training, is_recorded
from tune.sweep.spec_parts import Resources as Resources
from tune.sweep.spec_parts import SchedulerSpec as SchedulerSpec
from tune.sweep.spec_parts import SearcherSpec as SearcherSpec
from tune.sweep.spec_parts import SpecError as SpecError


class SweepSpec(Part):
    """Everything that determines a sweep."""

    model_config = ConfigDict(serialize_by_alias=True)

    name: str = Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]*$")
    """Name of the sweep: letters, digits, dots, hyphens and underscores. Its run directory is
    ``runs/NAME``."""
    data: str = ""
    """The dataset directory. For own training code, any path, or nothing."""
    train: str | None = None
    """Own training code in place of our training loop: ``package.module:name``."""
    code: CodeRecord | None = None
    """What `parse_spec` has found of ``train``."""
    objectives: tuple[ObjectiveSpec, ...] = Field(
        default=(ObjectiveSpec(),), alias="objective", min_length=1
    )
    """One objective or a list; the first selects the incumbent. A metric's name is enough."""
    fixed: dict[str, Any] = Field(default_factory=dict)
    """Hyperparameters with one value."""
    space: dict[str, Any]
    """Hyperparameters that are searched: a list of values, a range, a tie, or a mapping from each
    value of a choice to a space of its own."""
    searcher: SearcherSpec = SearcherSpec()
    """A searcher's name is enough if it needs no other settings; ``auto`` leaves it to us."""
    scheduler: SchedulerSpec = SchedulerSpec()
    """A scheduler's name is enough, too."""
    folds: int | None = Field(default=None, ge=2, le=1000)
    """Number of folds, on each of which every configuration is trained; without it, the dataset's
    split."""
    repeats: int = Field(default=1, ge=1, le=100)
    """Number of different splits into folds."""
    replicates: int = Field(default=1, ge=1)
    """Seeds per configuration."""
    finalists: int = Field(default=5, ge=1)
    """Number of configurations that get further replicates, if a scheduler stops trials."""
    seed: int = Field(default=0, ge=0)
    """Seed of the searcher, and of the first training of each configuration."""
    resources: Literal["auto"] | Resources = "auto"
    """What a trial takes. ``auto``: one core; if there are GPUs, several trials share each."""
    retries: int = Field(default=2, ge=0)
    """How often a failed trial is retried."""
    budget: Budget = Budget()
    """Limits of the sweep, which ends cleanly at them."""
    limits: LimitsSpec | None = None
    """Limits of a configuration: one that is over them is recorded, but not trained."""
    fuse: Literal["auto", "always", "never"] = "auto"
    """Whether replicates and folds of a configuration are trained fused: if a probe finds it
    faster, whenever possible, or never."""
    keep: Literal["best", "all"] = "best"
    """Checkpoints to keep: those of the best trials, or all."""
    first: list[dict[str, Any]] = Field(default_factory=list)
    """Configurations that are tried before the searcher's own: values of what is searched."""
    warm_start: str | None = None
    """A run whose finished trials the searcher receives before its first proposal."""
    loggers: list[Literal["tensorboard", "mlflow", "wandb"]] = Field(default_factory=list)
    """Formats in which trials are logged, in addition to the run's own files. MLflow logs to the
    server at ``$MLFLOW_TRACKING_URI``, if that is set."""
    notify: NotifySpec | None = None
    """Where to tell that the sweep has ended, has failed, or has a better configuration (at most
    every ten minutes)."""
    networks: dict[str, OwnNetwork] = Field(default_factory=dict)
    """What `parse_spec` has found of the own networks under ``family``."""

    @field_validator("data")
    @classmethod
    def _holds_no_keys(cls, value: str, info: ValidationInfo) -> str:
        return value if is_recorded(info) else check_url(value)

    @field_validator("objectives", mode="before")
    @classmethod
    def _as_several(cls, value: Any) -> Any:
        several = value if isinstance(value, list) else [value]
        return tuple(_written_out("objective", entry) for entry in several)

    @field_validator("searcher", "scheduler", mode="before")
    @classmethod
    def _from_a_name(cls, value: Any, info: ValidationInfo) -> Any:
        return _written_out(str(info.field_name), value)

    @field_validator("fixed", "space")
    @classmethod
    def _files_pinned(cls, value: dict[str, Any], info: ValidationInfo) -> dict[str, Any]:
        if has_own_training(info):
            return value
        family = value.get("family", info.data.get("fixed", {}).get("family"))
        if is_own(family) and not is_timm(family):
            return value  # Its pretrained is not ours.
        pinned: dict[str, Any] = _pin_spaces(value)
        return pinned

    @field_validator("objectives")
    @classmethod
    def _led_by_a_metric(
        cls, value: tuple[ObjectiveSpec, ...], info: ValidationInfo
    ) -> tuple[ObjectiveSpec, ...]:
        names = [objective.metric for objective in value]
        if len(set(names)) < len(names):
            raise UserError(f"must name each metric once, but got {', '.join(names)}")
        own = has_own_training(info)
        if names[0] in COSTS or (names[0] == LATENCY and not own):
            raise UserError(f"must begin with a measured metric, but got {names[0]}")
        if "parameters" in names and own:
            raise UserError(
                "parameters of own training code are not known; yield their number as a metric"
            )
        return value

    @field_validator("limits")
    @classmethod
    def _of_our_training(cls, value: LimitsSpec | None, info: ValidationInfo) -> LimitsSpec | None:
        if value is not None and has_own_training(info):
            raise UserError(
                "the networks of own training code are not known before it runs; leave limits out, "
                "and let your code end the training of a network that is too large"
            )
        return value

    @field_validator("folds")
    @classmethod
    def _trained_whole(cls, value: int | None, info: ValidationInfo) -> int | None:
        known = {
            name: getattr(info.data.get(name), "name", "") for name in ("searcher", "scheduler")
        }
        if value is not None and known != {"searcher": "grid", "scheduler": "none"}:
            raise UserError(
                "each configuration is trained whole on each fold, so it goes with searcher grid "
                "and scheduler none alone, but got "
                f"{' and '.join(f'{kind} {name}' for kind, name in known.items())}; for a "
                "configuration that a run has found, `python -m tune kfold RUN`"
            )
        if value is not None and "initial" in info.data.get("fixed", {}):
            raise UserError(
                "the weights under fixed.initial have seen pictures of every fold, so none would "
                "be judged on new pictures; leave fixed.initial out"
            )
        return value

    @model_serializer(mode="wrap")
    def _without_empty_keys(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        # Specs of our networks and our training loop look as before there were others.
        values: dict[str, Any] = write(self)
        empty: dict[str, Any] = {"data": "", "train": None, "code": None, "networks": {}}
        empty |= {"limits": None, "notify": None}
        return {key: value for key, value in values.items() if (key, value) not in empty.items()}

    @field_serializer("objectives")
    def _as_written(self, value: tuple[ObjectiveSpec, ...]) -> Any:
        written = [objective.model_dump() for objective in value]
        return written if len(written) > 1 else written[0]

    @property
    def objective(self) -> ObjectiveSpec:
        """The first objective, which schedulers compare and which selects the incumbent."""
        return self.objectives[0]

    @property
    def times_networks(self) -> bool:
        """Whether the latency of every network is measured before its first epoch."""
        limited = self.limits is not None and self.limits.latency_ms is not None
        wanted = any(each.metric == LATENCY for each in self.objectives)
        return self.train is None and (limited or wanted)

    @property
    def search_space(self) -> SearchSpace:
        """The parsed ``space``, with the fold as its last dimension for a k-fold sweep."""
        if self.folds is None:
            return SearchSpace.parse(self.space)
        return SearchSpace.parse({**self.space, "fold": list(range(self.folds * self.repeats))})

    @property
    def most_epochs(self) -> int:
        """The epochs of the longest complete training."""
        space = self.search_space
        points = space.samples_of_each()
        return max(self.config(space.at(point), seed=self.seed).epochs for point in points)

    def to_yaml(self) -> str:
        """Return the complete spec with defaults, in the format of `parse_spec`."""
        # Pydantic's JSON form would turn the key 4 into the text '4'.
        return dump_yaml(self.model_dump())

    def config(self, chosen: Mapping[str, Any], *, seed: int) -> Configuration:
        """Return the configuration of this spec with ``chosen`` hyperparameters and a seed."""
        folds = {} if self.folds in (None, FOLDS) else {"folds": self.folds}
        return self.read_config({**self.fixed, **chosen, **folds, "seed": seed})

    def read_config(self, values: Mapping[str, Any]) -> Configuration:
        """Return the configuration with these values, such as those of a trial.

        Raises:
            UserError: A name is unknown or a value breaks its rule.
        """
        if (code := self.training_code) is not None:
            return OwnConfig.create(code, values)
        network = self.networks.get(values.get("family", ""))
        return TrainConfig.create(
            values if network is None else network.complete(values["family"], values)
        )

    def name_of(self, config: Configuration) -> str:
        """Return a configuration's short name; of an own network, without its default values."""
        if not isinstance(config, TrainConfig) or config.family not in self.networks:
            return config.name
        return self.networks[config.family].name_of(config)

    @property
    def training_code(self) -> TrainingCode | None:
        """The own training code; None for our training loop."""
        if self.train is None or self.code is None:
            return None
        signature = Signature.from_dict(self.code.signature)
        return TrainingCode(reference=self.train, hash=self.code.hash, signature=signature)

    @property
    def own_code(self) -> dict[str, str]:
        """Hash of the user's own code that the sweep trains with, by its reference."""
        networks = {
            reference: network.hash
            for reference, network in self.networks.items()
            if not is_timm(reference)
        }
        code = self.training_code
        return networks if code is None else {code.reference: code.hash}


def _written_out(key: str, value: Any) -> Any:
    """Return the long form of a part that can be a plain name, as in ``searcher: tpe``."""
    return {_SHORT[key]: value} if isinstance(value, str) and key in _SHORT else value


_SHORT = {"objective": "metric", "searcher": "name", "scheduler": "name"}
"""Part of a spec → the key that a plain name stands for."""


def load_spec(path: Path, overrides: Iterable[str] = (), *, recorded: bool = False) -> SweepSpec:
    """Read a spec file and apply ``key=value`` overrides (dotted keys, YAML values).

    Args:
        path: The file.
        overrides: The overrides.
        recorded: Whether the spec is from an existing run, which newer rules do not apply to.

    Raises:
        SpecError: The file or an override breaks a rule; the message names it and its line.
    """
    try:
        text = path.read_text(encoding="utf-8")
        values = load_yaml(text, str(path))
    except OSError as error:
        raise SpecError(f"cannot read {path}: {error.strerror}") from error
    except YamlError as error:
        raise SpecError(str(error)) from error
    except UnicodeDecodeError as error:
        raise SpecError(f"{path} is not valid YAML, which is UTF-8 text: {error}") from error
    if not isinstance(values, dict):
        raise SpecError(f"{path} must hold keys and values, as in tune/specs/quick.yaml")
    for override in overrides:
        _override(values, override)
    folders = [Path.cwd()]
    if not recorded:
        for record in ("networks", "code"):
            values.pop(record, None)  # The user's code counts, not what a run has recorded of it.
        if not (path.parent / LEDGER_FILE).exists():
            folders.append(path.parent)
    return parse_spec(values, str(path), key_lines(text), recorded=recorded, folders=folders)


def override_spec(spec: SweepSpec, overrides: Iterable[str]) -> SweepSpec:
    """Return ``spec`` with ``key=value`` overrides applied.

    Raises:
        SpecError: An override breaks a rule.
    """
    values = load_yaml(spec.to_yaml(), "the spec")
    for override in overrides:
        _override(values, override)
    return parse_spec(values, "--set")


def parse_spec(
    values: Mapping[str, Any],
    source: str = "spec",
    lines: Mapping[tuple[str, ...], int] | None = None,
    *,
    recorded: bool = False,
    folders: Iterable[Path] = (),
) -> SweepSpec:
    """Check the values of a spec.

    Own networks that the spec has no record of are imported.

    Args:
        values: The spec.
        source: Name of the spec in messages.
        lines: Path of a key → its line in ``source``.
        recorded: Whether the spec is from an existing run, which newer rules do not apply to.
        folders: Where own code is searched first; by default the current folder.

    Raises:
        SpecError: A key is unknown or a value breaks its rule.
    """
    lines = lines or {}
    context = {"recorded": recorded, "own": values.get("train") is not None}
    places = tuple(folders) or (Path.cwd(),)
    if not recorded:
        values = _with_code(values, source, lines, places)
    if values.get("train") is None:
        values = _with_networks(values, source, lines, places)
    try:
        spec = SweepSpec.model_validate(values, context=context)
    except ValidationError as error:
        raise SpecError(_explain(error, source, lines)) from None
    if (spec.train is None) != (spec.code is None):
        raise SpecError(f"code is the record of train; give both or neither ({source})")
    if spec.train is None and not spec.data:
        raise SpecError(f"data is missing; every spec needs it ({source})")
    try:
        _check_hyperparameters(spec, source, lines)
        space = spec.search_space
        for point in (*space.samples_of_each(), *first_points(space, spec.first)):
            spec.config(space.at(point), seed=spec.seed)
            if not recorded:
                _check_epochs(spec, space.with_each(point, "epochs"))
    except SpecError:
        raise
    except ValueError as error:
        raise SpecError(f"{error} ({source})") from error
    return spec if recorded else _with_pick(spec)


def _with_pick(spec: SweepSpec) -> SweepSpec:
    """Return a new spec with the searcher that `auto` picks, if it leaves that open.

    Raises:
        SpecError: It says neither how many configurations to try nor what ends the search.
    """
    if spec.folds is not None or not auto.is_open(spec.search_space, spec.searcher):
        return spec
    resources = spec.resources if isinstance(spec.resources, Resources) else Resources()
    task = auto.Task(
        space=spec.search_space,
        searcher=spec.searcher,
        scheduler=spec.scheduler if "scheduler" in spec.model_fields_set else None,
        epochs=spec.most_epochs,
        objectives=len(spec.objectives),
        workers=resources.trials_at_once or 1,
        ends=(spec.budget.hours or spec.budget.device_hours) is not None,
        warm_start=spec.warm_start is not None,
        resumes=spec.train is None,
    )
    searcher, scheduler = auto.pick(task)
    return spec.model_copy(update={"searcher": searcher, "scheduler": scheduler})


def _with_code(
    values: Mapping[str, Any],
    source: str,
    lines: Mapping[tuple[str, ...], int],
    folders: Iterable[Path],
) -> Mapping[str, Any]:
    """Return a spec's values with a record of the own training code that they name.

    The code is imported only if there is no record yet.

    Raises:
        SpecError: The code is not found, cannot be imported, or its arguments cannot be used.
    """
    train = values.get("train")
    if not isinstance(train, str) or values.get("code") is not None:
        return values
    try:
        code = TrainingCode.find(train, folders)
    except UserError as error:
        raise SpecError(f"train: {error} ({_place(('train',), source, lines)})") from error
    return {**values, "code": {"hash": code.hash, "signature": code.signature.to_dict()}}


def _with_networks(
    values: Mapping[str, Any],
    source: str,
    lines: Mapping[tuple[str, ...], int],
    folders: Iterable[Path],
) -> Mapping[str, Any]:
    """Return a spec's values with a record of every own network that they name, and of no other.

    Raises:
        SpecError: A network is not found, cannot be imported, or its arguments cannot be used.
    """
    fixed, space = (values.get(part) or {} for part in ("fixed", "space"))
    known = values.get("networks") or {}
    if not all(isinstance(part, dict) for part in (fixed, space, known)):
        return values  # Validation refuses them.
    found = {name: known[name] for name in own_families(fixed, space) if name in known}
    for name in own_families(fixed, space):
        if name not in known:
            try:
                found[name] = OwnNetwork.find(name, folders).model_dump()
            except UserError as error:
                part = "fixed" if name == fixed.get("family") else "space"
                raise SpecError(
                    f"{part}.family: {error} ({_place((part, 'family'), source, lines)})"
                ) from error
    return {**values, "networks": found} if found or known else values


def _check_hyperparameters(
    spec: SweepSpec, source: str, lines: Mapping[tuple[str, ...], int]
) -> None:
    searched = SearchSpace.parse(spec.space).names()
    known, others = _known_names(spec)
    for part, names in (("fixed", tuple(spec.fixed)), ("space", searched)):
        for name in names:
            if known and name not in known and name not in others:
                raise SpecError(_unknown(name, part, known, _place((part, name), source, lines)))
    for name in DRAW:
        if name in spec.fixed or name in searched:
            raise SpecError(
                f"{name} is set by the sweep, not under fixed or space ({source}); "
                "use the spec's own `seed` and `replicates`, or `tune kfold`"
            )
    for name in set(spec.fixed) & set(searched):
        raise SpecError(
            f"{name} stands under fixed and under space "
            f"({_place(('fixed', name), source, lines)}); keep one"
        )


def _check_epochs(spec: SweepSpec, points: Iterable[Point]) -> None:
    """Refuse points that differ in epochs alone where a short training begins a longer one."""
    configs = [spec.config(spec.search_space.at(point), seed=spec.seed) for point in points]
    if len({config.configuration_id for config in configs}) < len(configs):
        raise UserError(
            "epochs is searched, but nothing in these trainings depends on it, such as a "
            "schedule of the learning rate: only one of them would be trained. Give the most "
            "epochs under fixed, since every epoch is measured, or another lr_schedule"
        )


def _known_names(spec: SweepSpec) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the hyperparameters that a spec may set, and names that own code itself refuses.

    The first is empty if own training code takes any name.
    """
    if (code := spec.training_code) is not None:
        names = (*code.signature.hyperparameters, *FRAME)
        return () if code.signature.free else names, code.signature.others
    signatures = [network.arguments for network in spec.networks.values()]
    own = [name for signature in signatures for name in signature.hyperparameters]
    others = tuple(name for signature in signatures for name in signature.others)
    return tuple(dict.fromkeys((*FIELDS, *own, *(("code",) if signatures else ())))), others


def _pin_files(name: str, entry: Any) -> Any:
    """Return an entry of ``fixed`` or ``space`` with absolute paths and hashes of weights files.

    This way, a run can be resumed from any folder, and a changed file is detected.
    """
    match entry:
        case list() if name == "pretrained":
            return [_pin_files(name, value) for value in entry]
        case {"from": source, "map": dict(mapping)} if name == "pretrained":
            return {"from": source, "map": {k: _pin_files(name, v) for k, v in mapping.items()}}
        case dict():
            # A range, or a space for each value of a choice.
            return {
                _pin_files(name, k): v if is_own(k) and not is_timm(k) else _pin_spaces(v)
                for k, v in entry.items()
            }
        case str() if name == "pretrained":
            try:
                return pin_weights(entry)
            except UserError as error:
                raise UserError(f"{name} {error}") from None
    return entry


def _pin_spaces(space: Any) -> Any:
    if not isinstance(space, dict):
        return space
    return {name: _pin_files(name, entry) for name, entry in space.items()}


def _explain(error: ValidationError, source: str, lines: Mapping[tuple[str, ...], int]) -> str:
    # A mapping under a key that may also be a word, as in `resources: auto`, is no misspelt word.
    errors = [
        each
        for each in error.errors()
        if each["type"] != "literal_error" or not isinstance(each["input"], dict)
    ]
    first = (errors or error.errors())[0]
    unsaid = ("Resources", "literal['auto']")
    path = tuple(key for key in first["loc"] if isinstance(key, str) and key not in unsaid)
    place = _place(path, source, lines)
    if first["type"] == "extra_forbidden":
        part: Any = SweepSpec
        for key in path[:-1]:
            part = _nested(part, key)
        known = [field.alias or name for name, field in part.model_fields.items()]
        return _unknown(path[-1], ".".join(path[:-1]) or "the spec", known, place)
    if first["type"] == "missing":
        return f"{'.'.join(path)} is missing; every spec needs it ({source})"
    message = first["msg"].removeprefix("Value error, ")
    got = "" if "got" in message else f", but got {first['input']!r}"
    return f"{'.'.join(path)}: {message[0].lower()}{message[1:]}{got} ({place})"


def _nested(part: Any, key: str) -> Any:
    several: dict[str, Any] = {
        "resources": Resources,
        "objective": ObjectiveSpec,
        "limits": LimitsSpec,
        "notify": NotifySpec,
    }
    return several.get(key) or part.model_fields[key].annotation


def _unknown(name: str, part: str, known: Iterable[str], place: str) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)
    return f"{name!r} is not a key of {part}; the nearest one is {near[0]!r} ({place})"


def _place(path: tuple[str, ...], source: str, lines: Mapping[tuple[str, ...], int]) -> str:
    # An error names a nested hyperparameter without its path, so look for the last part too.
    for known, line in lines.items():
        if known == path or (known[:1] == path[:1] and known[-1:] == path[-1:]):
            return f"{source}, line {line}"
    return _place(path[:-1], source, lines) if path else source


def _override(values: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key:
        raise SpecError(f"--set takes key=value, but got {override!r}, for example fixed.epochs=3")
    *parents, last = key.split(".")
    part: Any = values
    for parent in parents:
        part[parent] = _written_out(parent, part.get(parent, {}))
        part = part[parent]
        if not isinstance(part, dict):
            raise SpecError(f"--set {override}: {parent} holds no keys of its own")
    try:
        part[last] = load_yaml(text, f"--set {override}")
    except YamlError as error:
        raise SpecError(str(error)) from error
    if parents in (["fixed"], ["space"]):
        # One --set is enough to search a fixed hyperparameter, or to fix a searched one.
        (values.get("space" if parents == ["fixed"] else "fixed") or {}).pop(last, None)
