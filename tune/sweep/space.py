"""The search space: values of hyperparameters, tied hyperparameters, and conditional ones."""

import itertools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from fairsweep.errors import UserError

Scalar = bool | int | float | str
Point = dict[str, Scalar]
"""The free choices of a configuration: path of the choice → value, without tied values."""


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A list of values to choose from."""

    values: tuple[Scalar, ...]

    def holds(self, value: object) -> bool:
        """Return whether ``value`` is in the list; True and 1 are different."""
        return any(
            known == value and isinstance(known, bool) == isinstance(value, bool)
            for known in self.values
        )


@dataclass(frozen=True, kw_only=True)
class Range:
    """A range of numbers, including both ends."""

    low: float
    high: float
    log: bool = False
    step: float | None = None

    @property
    def whole(self) -> bool:
        """Whether the range has whole numbers only: both ends and the step are integers."""
        return all(isinstance(end, int) for end in (self.low, self.high, self.step or 1))

    @property
    def values(self) -> tuple[float, ...] | None:
        """All values of a stepped or whole-number range; None for a continuous one."""
        if self.log or (self.step is None and not self.whole):
            return None
        step = self.step or 1
        count = int((self.high - self.low) / step + 1e-9) + 1
        return tuple(self.low + index * step for index in range(count))

    def holds(self, value: object) -> bool:
        """Return whether ``value`` is a number in this range."""
        if not isinstance(value, int | float) or isinstance(value, bool):
            return False
        if self.whole and value != int(value):
            return False
        if self.step is None:
            return self.low <= value <= self.high
        # The last value may be a rounding error above the end.
        return min(abs(value - allowed) for allowed in self.values or ()) < 1e-9


@dataclass(frozen=True, kw_only=True)
class Tie:
    """A hyperparameter whose value follows that of another one."""

    source: str
    mapping: tuple[tuple[Scalar, Scalar], ...] | None
    """Value of the other hyperparameter → value of this one; None if they are equal."""

    def follow(self, value: Scalar) -> Scalar:
        """Return this hyperparameter's value if the other one has ``value``."""
        return value if self.mapping is None else dict(self.mapping)[value]


@dataclass(frozen=True, kw_only=True)
class Branch:
    """A choice with a separate subspace for each value."""

    spaces: Mapping[Scalar, "SearchSpace"]


Domain = Choice | Range
Chooser = Callable[[str, Domain], Scalar]


@dataclass(frozen=True, kw_only=True)
class SearchSpace:
    """The searched hyperparameters by name."""

    entries: Mapping[str, Choice | Range | Tie | Branch]

    @classmethod
    def parse(cls, values: Mapping[str, Any], where: str = "space") -> "SearchSpace":
        """Read the ``space`` of a sweep spec.

        Raises:
            UserError: An entry is not a list, range, tie or mapping of spaces.
        """
        parsed = {name: _parse_entry(value, f"{where}.{name}") for name, value in values.items()}
        space = cls(entries=parsed)
        space._check_ties(where)
        return space

    def _check_ties(self, where: str) -> None:
        for name, tie in self.ties().items():
            source = self.entries.get(tie.source)
            if not isinstance(source, Choice | Range):
                raise UserError(
                    f"{where}.{name} is tied to {tie.source!r}, which must be a list or a range in "
                    "the same space, but is not; tie it to one that is"
                )
            missing = set(source.values or ()) - {key for key, _ in tie.mapping or ()}
            if tie.mapping is not None and (missing or source.values is None):
                raise UserError(
                    f"{where}.{name} must map every value of {tie.source}, but lacks "
                    f"{', '.join(map(str, sorted(missing, key=str))) or 'those of a range'}"
                )

    def ties(self) -> dict[str, Tie]:
        """Return the tied hyperparameters of this level."""
        return {name: entry for name, entry in self.entries.items() if isinstance(entry, Tie)}

    def all_ties(self) -> dict[str, str]:
        """Return every tied hyperparameter, including branches, and the one that it follows."""
        ties = {name: tie.source for name, tie in self.ties().items()}
        for space in self._branched():
            ties |= space.all_ties()
        return ties

    def names(self) -> tuple[str, ...]:
        """Return every searched hyperparameter once, in the order of the spec."""
        nested = [name for space in self._branched() for name in space.names()]
        return tuple(dict.fromkeys([*self.entries, *nested]))

    @property
    def conditional(self) -> bool:
        """Whether some hyperparameters exist only for some values of a choice."""
        return any(True for _ in self._branched())

    def _branched(self) -> Iterator["SearchSpace"]:
        for entry in self.entries.values():
            if isinstance(entry, Branch):
                yield from entry.spaces.values()

    def choose(self, chooser: Chooser, prefix: str = "") -> dict[str, Scalar]:
        """Call ``chooser`` for each free choice, and return the hyperparameters.

        The chooser gets the path of the choice (``family``, ``family=resnet.kernel_size``), which
        differs for equal names in two branches.
        """
        chosen: dict[str, Scalar] = {}
        for name, entry in self.entries.items():
            if isinstance(entry, Branch):
                branch = chooser(prefix + name, Choice(values=tuple(entry.spaces)))
                nested = entry.spaces[branch].choose(chooser, f"{prefix}{name}={branch}.")
                chosen |= {name: branch, **nested}
            elif not isinstance(entry, Tie):
                chosen[name] = chooser(prefix + name, entry)
        for name, tie in self.ties().items():
            chosen[name] = tie.follow(chosen[tie.source])
        return {name: chosen[name] for name in (*self.entries, *chosen) if name in chosen}

    def point(self, chooser: Chooser) -> Point:
        """Call ``chooser`` for each free choice, and return its choices."""
        point: Point = {}

        def note(path: str, domain: Domain) -> Scalar:
            point[path] = chooser(path, domain)
            return point[path]

        self.choose(note)
        return point

    def locate(self, hyperparameters: Mapping[str, Any]) -> Point | None:
        """Return the point whose free choices have these values, or None if there is none."""

        def find(path: str, domain: Domain) -> Scalar:
            value: Scalar = hyperparameters[path.rpartition(".")[2]]
            if not domain.holds(value):
                raise LookupError(path)
            return value

        try:
            return self.point(find)
        except LookupError:
            return None

    def at(self, point: Mapping[str, Scalar]) -> dict[str, Scalar]:
        """Return the hyperparameters at a point of the space."""
        return self.choose(lambda path, _domain: point[path])

    def domains(self, point: Mapping[str, Scalar]) -> dict[str, Domain]:
        """Return the domain of each free choice that led to ``point``."""
        found: dict[str, Domain] = {}

        def note(path: str, domain: Domain) -> Scalar:
            found[path] = domain
            return point[path]

        self.choose(note)
        return found

    def holds(self, point: Mapping[str, Scalar]) -> bool:
        """Return whether ``point`` is a point of this space."""
        try:
            domains = self.domains(point)
        except KeyError:
            return False
        return domains.keys() == point.keys() and all(
            domain.holds(point[path]) for path, domain in domains.items()
        )

    def grid(self) -> Iterator[Point]:
        """Yield every point of the space; the last hyperparameter varies fastest.

        Raises:
            UserError: A range is continuous, so it has no grid.
        """
        return self._points("", _every_value)

    def samples_of_each(self) -> Iterator[Point]:
        """Yield points that cover each value of each choice, and both ends of each range.

        From the first point of each branch, one choice varies at a time, which gives far fewer
        points than the grid.
        """
        for first in self._points("", lambda _path, domain: _extremes(domain)[:1]):
            yield first
            for path, domain in self.domains(first).items():
                if path not in self._branch_paths():
                    for value in _extremes(domain)[1:]:
                        yield {**first, path: value}

    def with_each(self, point: Point, name: str) -> Iterator[Point]:
        """Yield ``point`` with each value of ``name``, or both ends of its range, if it is free."""
        for path, domain in self.domains(point).items():
            if path.rpartition(".")[2] == name:
                varied = ({**point, path: value} for value in _extremes(domain))
                yield from filter(self.holds, varied)

    def _branch_paths(self, prefix: str = "") -> set[str]:
        paths = set()
        for name, entry in self.entries.items():
            if isinstance(entry, Branch):
                paths.add(prefix + name)
                for branch, space in entry.spaces.items():
                    paths |= space._branch_paths(f"{prefix}{name}={branch}.")
        return paths

    def _points(
        self, prefix: str, values_of: Callable[[str, Domain], Sequence[Scalar]]
    ) -> Iterator[Point]:
        axes: list[list[Point]] = []
        for name, entry in self.entries.items():
            path = prefix + name
            if isinstance(entry, Branch):
                axes.append(
                    [
                        {path: branch, **point}
                        for branch, space in entry.spaces.items()
                        for point in space._points(f"{prefix}{name}={branch}.", values_of)
                    ]
                )
            elif not isinstance(entry, Tie):
                axes.append([{path: value} for value in values_of(path, entry)])
        for combination in itertools.product(*axes):
            yield {path: value for part in combination for path, value in part.items()}


def _every_value(path: str, domain: Domain) -> Sequence[Scalar]:
    if domain.values is None:
        raise UserError(
            f"a grid needs values, but space.{path} is a continuous range; "
            "list its values, give it a step, or use another searcher"
        )
    return domain.values


def _extremes(domain: Domain) -> Sequence[Scalar]:
    return domain.values if isinstance(domain, Choice) else (domain.low, domain.high)


def _parse_entry(value: Any, where: str) -> Choice | Range | Tie | Branch:
    match value:
        case list() if value and all(isinstance(entry, Scalar) for entry in value):
            if len(set(map(repr, value))) < len(value):
                raise UserError(f"{where} names a value twice: {value}")
            return Choice(values=tuple(value))
        case {"low": _, "high": _}:
            return _parse_range(value, where)
        case {"from": str(source)}:
            mapping = value.get("map")
            return Tie(source=source, mapping=tuple(mapping.items()) if mapping else None)
        case dict() if value and all(isinstance(entry, dict) for entry in value.values()):
            return Branch(
                spaces={
                    name: SearchSpace.parse(space, f"{where}.{name}")
                    for name, space in value.items()
                }
            )
    raise UserError(
        f"{where} must be a list of values, a range {{low, high}}, a tie {{from, map}} or a "
        f"mapping of spaces, but got {value!r}; a hyperparameter with one value belongs under fixed"
    )


def _parse_range(value: Mapping[str, Any], where: str) -> Range:
    unknown = set(value) - {"low", "high", "log", "step"}
    if unknown:
        raise UserError(
            f"{where} is a range, which has low, high, log and step, but not "
            f"{', '.join(sorted(unknown))}"
        )
    low, high, log, step = value["low"], value["high"], value.get("log"), value.get("step")
    numbers = [number for number in (low, high, step) if number is not None]
    if not all(isinstance(number, int | float) for number in numbers):
        raise UserError(f"{where}: low, high and step must be numbers, but got {dict(value)}")
    if not low < high:
        raise UserError(f"{where}: low must be below high, but got low={low}, high={high}")
    if log and (low <= 0 or step is not None):
        raise UserError(
            f"{where}: a log range needs low above 0 and no step, but got {dict(value)}"
        )
    if step is not None and step <= 0:
        raise UserError(f"{where}: step must be above 0, but got {step}")
    return Range(low=low, high=high, log=bool(log), step=step)
