"""`tune plan`: estimate the cost of a sweep (configurations, parameters, memory, disk, time)."""

import argparse
import itertools
import os
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass

import torch

from data_prep.manifest import DatasetManifest
from fairsweep.terminal import plain_console
from models.config import TrainConfig
from models.cost import BACKWARD, TrainingCost, training_cost
from tune.commands.options import QUICK, add_spec, print_pick, spec_of
from tune.commands.status import table_of
from tune.session.data import fingerprint_of, open_data
from tune.session.first_steps import check_networks
from tune.session.keeping import BEST_TRIALS
from tune.session.limits import limited
from tune.session.precision import precision_note
from tune.session.store import open_dataset, read_manifest
from tune.sweep.configuration import Configuration
from tune.sweep.limits import excess
from tune.sweep.schedulers.scheduler import Scheduler
from tune.sweep.searchers.registry import make_searcher
from tune.sweep.spec import SweepSpec
from tune.sweep.sweep import Sweep

EXAMPLE = f"{QUICK} --data data/faces --set fixed.epochs=3"
_MOST_ROWS = 40
"""Most configurations that a plan prints."""
SUSTAINED = 0.5
"""Share of the matrix-product rate that training sustains; measured 0.45 to 0.6 on CPUs."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the spec and its changes."""
    add_spec(command)


def run(parsed: argparse.Namespace) -> int:
    """Print the plan and return 0."""
    spec = spec_of(parsed)
    print_pick(spec)
    if spec.train is not None:
        print_own_plan(spec)
        return 0
    manifest = read_manifest(spec.data)
    if spec.networks:
        for note in check_networks(spec, open_dataset(spec.data)).notes:
            print(note, file=sys.stderr)
    if (slow := precision_note(spec)) is not None:
        print(slow, file=sys.stderr)
    print_plan(plan_sweep(spec, manifest, cores=os.cpu_count() or 1), spec, manifest)
    return 0


@dataclass(frozen=True, kw_only=True)
class PlannedConfiguration:
    """One configuration and its cost."""

    config: TrainConfig
    cost: TrainingCost
    excess: str | None = None
    """Which limit of the spec it is over; None if it is trained."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """The estimated cost of a sweep."""

    configurations: tuple[PlannedConfiguration, ...]
    """All of a grid. Of other searchers, those that they propose without any results."""
    trials: int
    """Without those over a limit of the spec; the other figures leave them out as well."""
    epochs: float
    """Expected epochs of all trials together; a scheduler such as ASHA reduces them."""
    disk_bytes: int
    seconds: float
    """Wall-clock time on this machine, with one trial per core."""


def plan_sweep(spec: SweepSpec, manifest: DatasetManifest, *, cores: int) -> Plan:
    """Estimate the cost of ``spec`` on this machine, which has ``cores`` CPU cores."""
    sweep = Sweep(spec, fingerprint=manifest.fingerprint)
    every = tuple(
        _planned(config, spec, manifest)
        for config in configurations(spec)
        if isinstance(config, TrainConfig)
    )
    planned = tuple(plan for plan in every if plan.excess is None)
    trials = round(sweep.expected * len(planned) / len(every))
    # A scheduler that pauses trials trains finalists whole, however few it promotes.
    whole = min(1.0, spec.finalists / len(planned)) if sweep.scheduler.pauses and planned else 0.0
    shares = [_trained_share(sweep.scheduler, plan.config.epochs, whole) for plan in planned]
    flop = sum(
        BACKWARD
        * plan.cost.flop_per_picture
        * training_pictures(spec, manifest)
        * plan.config.epochs
        * share
        for plan, share in zip(planned, shares, strict=True)
    )
    replicated = trials / max(1, len(planned))
    rate = SUSTAINED * matrix_rate() * cores
    return Plan(
        configurations=every,
        trials=trials,
        epochs=replicated
        * sum(s * plan.config.epochs for s, plan in zip(shares, planned, strict=True)),
        disk_bytes=_disk(sweep, planned, trials, cores),
        seconds=replicated * flop / rate,
    )


def _planned(
    config: TrainConfig, spec: SweepSpec, manifest: DatasetManifest
) -> PlannedConfiguration:
    cost = training_cost(config, **manifest.task)
    over = None if spec.limits is None else excess(spec.limits, limited(cost))
    return PlannedConfiguration(config=config, cost=cost, excess=over)


def training_pictures(spec: SweepSpec, manifest: DatasetManifest) -> int:
    """Return how many pictures a trial is trained on, without oversampling."""
    train, val = (sum(manifest.counts[split].values()) for split in ("train", "val"))
    return train if spec.folds is None else (train + val) * (spec.folds - 1) // spec.folds


def configurations(spec: SweepSpec) -> Iterator[Configuration]:
    """Yield each configuration once, even if it is trained on several folds."""
    space = spec.search_space
    known = set()
    searcher = make_searcher(spec)
    for number in itertools.count():
        point = searcher.propose(number)
        if point is None:
            return
        searcher.hear_proposed(str(number), point)
        config = spec.config(space.at(point), seed=spec.seed)
        if spec.folds is None or config.configuration_id not in known:
            known.add(config.configuration_id)
            yield config


def _trained_share(scheduler: Scheduler, epochs: int, whole: float) -> float:
    """Return the expected share of its epochs that a trial is trained.

    Args:
        scheduler: Stops or pauses trials.
        epochs: Epochs of a complete training.
        whole: Least share of the trials that are trained to the end.
    """
    trained, share, before = 0.0, 1.0, 0
    for rung, survivors in zip(scheduler.rungs, scheduler.survivors, strict=True):
        end = min(rung, epochs)
        trained += share * (end - before)
        share, before = max(whole, share * survivors), end
    return (trained + share * (epochs - before)) / epochs


def _disk(sweep: Sweep, planned: tuple[PlannedConfiguration, ...], trials: int, cores: int) -> int:
    """Return the most that checkpoints take: of running trials, and those that `Keeper` keeps."""
    spec = sweep.spec
    largest = max((plan.cost.checkpoint_bytes for plan in planned), default=0)
    if spec.keep == "all":
        return largest * trials
    left = max((_left_bytes(plan) for plan in planned), default=0)
    kept = trials
    if spec.scheduler.name != "none":
        kept = min(trials, BEST_TRIALS + spec.finalists * spec.replicates)
    # A paused trial keeps its state, like a running one.
    states = trials if sweep.scheduler.pauses else cores
    return largest * states + left * kept


def _left_bytes(plan: PlannedConfiguration) -> int:
    """Return the size of a kept trial: only its best weights, if it cannot be extended."""
    whole = plan.cost.checkpoint_bytes
    return whole // 4 if plan.config.schedule_needs_epochs else whole


def matrix_rate(seconds: float = 0.3) -> float:
    """Measure the float32 matrix-product rate of one CPU thread, in operations per second."""
    threads, size = torch.get_num_threads(), 768
    torch.set_num_threads(1)
    matrix = torch.rand(size, size)
    torch.mm(matrix, matrix)
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < seconds:
        torch.mm(matrix, matrix)
        count += 1
    elapsed = time.perf_counter() - started
    torch.set_num_threads(threads)
    return count * 2 * size**3 / elapsed


def print_plan(plan: Plan, spec: SweepSpec, manifest: DatasetManifest) -> None:
    """Print a plan: a table of configurations, and the totals below it."""
    over = sum(planned.excess is not None for planned in plan.configurations)
    limit = ("limits",) if over else ()
    table = table_of("configuration", "parameters", "MFLOP/picture", "memory", "checkpoint", *limit)
    for planned in plan.configurations[:_MOST_ROWS]:
        table.add_row(
            spec.name_of(planned.config),
            f"{planned.cost.parameters:,}",
            f"{planned.cost.flop_per_picture / 1e6:.0f}",
            _size(planned.cost.memory_bytes),
            _size(planned.cost.checkpoint_bytes),
            *(("" if planned.excess is None else "over the limit",) if over else ()),
        )
    console = plain_console()
    console.print(table)
    hidden = len(plan.configurations) - _MOST_ROWS
    if hidden > 0:
        console.print(f"and {hidden} more")
    if over:
        console.print(f"{over} of {len(plan.configurations)} are over the limit and not trained")
    pictures = training_pictures(spec, manifest)
    console.print(
        f"{plan.trials} trials of {len(plan.configurations) - over} configurations, about "
        f"{plan.epochs:.0f} epochs of {pictures:,} pictures in all"
    )
    if spec.times_networks:
        console.print("(the latency of each network is measured before its first epoch)")
    if spec.scheduler.name != "none":
        console.print(f"(expecting {spec.scheduler.name} to stop trials at each rung)")
    console.print(
        f"up to {_size(plan.disk_bytes)} of checkpoints at once, and about "
        f"{plan.seconds / 60:.0f} minutes on this machine's CPU cores"
    )


def print_own_plan(spec: SweepSpec) -> None:
    """Print the plan of own training code, whose parameters and cost are not known.

    Raises:
        UserError: The data is missing, or the code refuses a value of the space.
    """
    dataset = open_data(spec)
    sweep = Sweep(spec, fingerprint=fingerprint_of(spec, dataset))
    planned = list(configurations(spec))
    table = table_of("configuration", "epochs", "parameters", "memory")
    for config in planned[:_MOST_ROWS]:
        table.add_row(config.name, str(config.epochs), "not known", "not known")
    console = plain_console()
    console.print(table)
    if len(planned) > _MOST_ROWS:
        console.print(f"and {len(planned) - _MOST_ROWS} more")
    console.print(
        f"{sweep.expected} trials of {len(planned)} configurations, trained by "
        f"{spec.train}; how long they take is not known"
    )


def _size(count: float) -> str:
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.3g} {unit}"
        count /= 1000
    return f"{count:.3g} TB"
