"""Takes one step with each own network of a spec, before any trial is queued."""

from collections.abc import Iterator
from dataclasses import dataclass

from data_prep.reader import ImageDataset
from fairsweep.errors import UserError
from models.config import TrainConfig
from tune.sweep.spec import SweepSpec


@dataclass(frozen=True, kw_only=True)
class CheckedSpec:
    """A spec whose own networks can be trained."""

    spec: SweepSpec
    """The spec, with the layout of each own network."""
    notes: tuple[str, ...]
    """What the user should know of them, a line each."""


def check_networks(spec: SweepSpec, dataset: ImageDataset) -> CheckedSpec:
    """Build each own network of a spec once, and train it for one step on a few pictures.

    Each value of a hyperparameter is tried, but not all combinations.

    Raises:
        UserError: A network cannot be trained; the message names its file and line.
    """
    if not spec.networks:
        return CheckedSpec(spec=spec, notes=())  # Importing torch would delay the driver.
    from models.first_step import take_first_step

    networks = dict(spec.networks)
    notes: dict[str, str] = {}
    for config in _distinct(spec):
        try:
            step = take_first_step(config, dataset)
        except UserError as error:
            raise UserError(f"{spec.name_of(config)} cannot be trained: {error}") from error
        for note in step.notes:
            notes.setdefault(note, f"{spec.name_of(config)}: {note}")
        if not step.channels_last:
            plain = networks[config.family].model_copy(update={"channels_last": False})
            networks[config.family] = plain
    checked = spec.model_copy(update={"networks": networks})
    return CheckedSpec(spec=checked, notes=tuple(notes.values()))


def _distinct(spec: SweepSpec) -> Iterator[TrainConfig]:
    """Yield a configuration for each own network of the spec that differs in its shape."""
    known = set()
    space = spec.search_space
    for point in space.samples_of_each():
        config = spec.config(space.at(point), seed=spec.seed)
        assert isinstance(config, TrainConfig), "own training code has no families"
        shape = (config.family, config.own, config.image_size)
        if config.family in spec.networks and shape not in known:
            known.add(shape)
            yield config
