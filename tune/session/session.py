"""One driver session: opens the run, runs the sweep, writes tables."""

import functools
import os
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

from data_prep.folds import check_folds
from data_prep.manifest import DatasetManifest
from data_prep.reader import ImageDataset
from fairsweep.own_code.reference import is_timm
from models.config import TrainConfig
from models.known_groups import check_groups
from models.timm_network import NONE
from tune.execution.executor import Executor, SweepData
from tune.run.directory import RETRY_FILE, STOP_FILE, requests_in
from tune.run.lease import hold
from tune.run.ledger import Ledger, read_events
from tune.session.carried import Carried, carried_groups, with_groups
from tune.session.chores import Chores
from tune.session.code import changes, open_code
from tune.session.data import (
    classes_of,
    find_data,
    fingerprint_of,
    open_data,
    path_on_node,
)
from tune.session.disk import SPARE_BYTES, check_space
from tune.session.first_steps import check_networks
from tune.session.keeping import Keeper
from tune.session.limits import known_costs
from tune.session.loggers import Loggers, require_loggers
from tune.session.notify import Notifier, require_notify
from tune.session.precision import precision_note
from tune.session.progress import Progress
from tune.session.repair import repair, what_counts
from tune.session.restore import restore
from tune.session.run_directory import create_run, read_provenance, read_spec, write_spec
from tune.session.store import is_staged, open_dataset
from tune.session.tables import write_tables
from tune.session.warm_start import read_warm_start
from tune.sweep.extend import extended_spec
from tune.sweep.spec import SpecError, SweepSpec
from tune.sweep.sweep import Sweep


class _OnRay:
    """The Ray executor, imported only if there is something to train, because it takes a second."""

    def execute(
        self, sweep: Sweep, run: Path, data: SweepData, *, on_step: Callable[[], None]
    ) -> None:
        """See `Executor.execute`."""
        from tune.execution.ray_executor import RayExecutor

        RayExecutor().execute(sweep, run, data, on_step=on_step)


ON_RAY: Executor = _OnRay()
"""The default executor."""
_ECHO_SECONDS = 1.0
"""Signals within this time count as one request."""


def start(
    spec: SweepSpec,
    root: Path,
    carried: Carried | None = None,
    *,
    executor: Executor = ON_RAY,
) -> tuple[Path, Sweep]:
    """Run a new sweep until it is finished or stopped; return its directory and its final state.

    Args:
        spec: The sweep spec.
        root: The folder of the run directory.
        carried: Files from another run, if this one is derived from it.
        executor: Trains the trials.

    Raises:
        FileNotFoundError: There is no dataset at ``spec.data``.
        RunError: A run of this name already exists.
        SpecError: Searcher, scheduler, space and warm start do not fit together.
        UserError: Pretrained weights are not available or do not fit; or an own network cannot be
            trained; or the dataset lacks a group that the spec names, or has too few pictures for
            the folds; or the cluster at ``RAY_ADDRESS`` does not answer.
    """
    carried = carried or Carried()
    dataset = open_data(spec)
    if dataset is not None:
        dataset = with_groups(dataset, carried.groups)
    fingerprint = fingerprint_of(spec, dataset)
    Sweep(spec, fingerprint=fingerprint)  # Reject a bad spec before writing files.
    read_warm_start(spec, fingerprint)
    require_loggers(spec)
    require_notify(spec)
    if executor is ON_RAY:
        _require_ray()
    if dataset is not None:
        _require_weights(spec, dataset.manifest)
        _require_pictures(spec, dataset, carried)
        checked = check_networks(spec, dataset)
        for note in checked.notes:
            print(note, file=sys.stderr)
        spec = checked.spec
    if (slow := precision_note(spec)) is not None:
        print(slow, file=sys.stderr)
    root.mkdir(exist_ok=True)
    check_space(root, SPARE_BYTES)
    run = create_run(root, spec, dataset.manifest if dataset else None, carried)
    return run, _hold_and_drive(run, spec, dataset, executor)


def resume(
    run: Path,
    *,
    data: str | Path | None = None,
    retry_failed: bool = False,
    trust_code: bool = False,
    executor: Executor = ON_RAY,
) -> Sweep:
    """Continue a run that was stopped or killed; a finished run has nothing left to train.

    Args:
        run: The run directory.
        data: Path of the dataset, if it was moved.
        retry_failed: Whether to train failed trials again.
        trust_code: Whether own code of the run may be imported that the user has not run before.
        executor: Trains the trials.

    Raises:
        FileNotFoundError: The dataset does not exist.
        RunError: ``run`` is not a run directory, is in use, or has another dataset.
        UserError: The run would import own code that the user does not trust yet.
    """
    spec = _restore(run, data, trust_code=trust_code)
    change = _retry if retry_failed else None
    dataset = find_data(run, spec, data)
    return _hold_and_drive(run, spec, dataset, executor, data=data, change=change)


def extend(
    run: Path,
    *,
    samples: int = 0,
    overrides: Iterable[str] = (),
    data: str | Path | None = None,
    trust_code: bool = False,
    executor: Executor = ON_RAY,
) -> Sweep:
    """Extend a finished or stopped run; trials that are already trained are kept.

    Args:
        run: The run directory.
        samples: Number of further configurations that the searcher may propose.
        overrides: ``key=value`` changes of the spec.
        data: Path of the dataset, if it was moved.
        trust_code: As `resume`.
        executor: Trains the trials.

    Raises:
        RunError: As `resume`; or a part of the spec changes that must stay the same.
        SpecError: The extended spec breaks a rule.
    """
    larger = functools.partial(extended_spec, samples=samples, overrides=tuple(overrides))
    spec = _restore(run, data, trust_code=trust_code)
    change = functools.partial(_extend, larger=larger)
    dataset = find_data(run, spec, data)
    return _hold_and_drive(run, spec, dataset, executor, data=data, change=change)


def _restore(run: Path, data: str | Path | None, *, trust_code: bool) -> SweepSpec:
    """Recreate the files that describe a run, let its own code be imported; return its spec."""
    for line in restore(run, data):
        print(f"{run}: {line}", file=sys.stderr)
    spec = read_spec(run)
    for line in changes(run, open_code(run, spec, trust_code=trust_code)):
        print(f"{run}: {line}", file=sys.stderr)
    return spec


def _hold_and_drive(
    run: Path,
    spec: SweepSpec,
    dataset: ImageDataset | None,
    executor: Executor,
    *,
    data: str | Path | None = None,
    change: Callable[[Path, Sweep], None] | None = None,
) -> Sweep:
    """Run a sweep from the end of its ledger, after applying ``change``."""
    run = run.absolute()
    with hold(run), Ledger(run) as ledger:
        # A request from before this was for another session.
        _forget_requests(run)
        sweep = Sweep(
            spec,
            fingerprint=fingerprint_of(spec, dataset),
            commit=ledger.append,
            events=read_events(run),
            costs=known_costs(spec, dataset.manifest if dataset else None),
        )
        if change is not None:
            change(run, sweep)
        for line in () if dataset is None else repair(run, sweep, dataset):
            print(f"{run}: {line}", file=sys.stderr)
        loggers = Loggers(run, sweep)
        if not sweep.finished:
            _drive(run, sweep, _sweep_data(run, dataset, data), loggers, executor)
        loggers.close()
        _forget_requests(run)
        write_spec(run, sweep.spec)
        write_tables(run, sweep, classes_of(dataset))
        Keeper(run, sweep).sweep_up()
    return sweep


def _forget_requests(run: Path) -> None:
    for request in requests_in(run, STOP_FILE, RETRY_FILE):
        request.unlink()


def _retry(run: Path, sweep: Sweep) -> None:
    print(f"{run}: {sweep.retry_failed()} failed trials are trained again", file=sys.stderr)


def _extend(run: Path, sweep: Sweep, larger: Callable[[SweepSpec], SweepSpec]) -> None:
    spec = larger(sweep.spec)
    before = {trial.id: trial.epochs for trial in sweep.trials.values() if trial.ended}
    sweep.extend(spec)
    write_spec(run, spec)
    print(f"{run}: {what_counts(run, before, sweep)}", file=sys.stderr)


def _drive(run: Path, sweep: Sweep, data: SweepData, loggers: Loggers, executor: Executor) -> None:
    sweep.begin()
    _warm_up(sweep, fingerprint_of(sweep.spec, data.dataset))
    with _notified(run, sweep) as notifier:
        with Progress(sweep) as progress, _stop_on_signals(sweep, run):
            chores = Chores(run, sweep, classes_of(data.dataset), progress, loggers, notifier)
            executor.execute(sweep, run, data, on_step=chores.do)
        sweep.close()


@contextmanager
def _notified(run: Path, sweep: Sweep) -> Iterator[Notifier]:
    """Tell at the end how the session has ended."""
    notifier = Notifier(run, sweep)
    try:
        yield notifier
    except BaseException as error:
        notifier.failed(error)
        raise
    else:
        notifier.end()
    finally:
        notifier.close()


def _sweep_data(run: Path, dataset: ImageDataset | None, moved_to: str | Path | None) -> SweepData:
    if dataset is None:
        place = read_provenance(run)["dataset"]["path"] if moved_to is None else str(moved_to)
        return SweepData(dataset=None, find=functools.partial(path_on_node, place, None))
    # Workers map the pixels of a large dataset themselves, instead of getting them from Ray.
    own_copy = is_staged(dataset.place) or dataset.is_mapped
    return SweepData(
        dataset=dataset,
        read_copy=functools.partial(_read_copy, dataset.place, run) if own_copy else None,
        find=functools.partial(path_on_node, dataset.place, dataset.manifest.fingerprint),
    )


def _read_copy(place: str, run: Path) -> ImageDataset:
    return with_groups(open_dataset(place), carried_groups(run))


def _samples(spec: SweepSpec) -> list[TrainConfig]:
    """Return configurations of our training loop that have each value of the space."""
    space = spec.search_space
    configs = [spec.config(space.at(point), seed=spec.seed) for point in space.samples_of_each()]
    return [config for config in configs if isinstance(config, TrainConfig)]


def _require_ray() -> None:
    """Check that there will be a Ray: a run directory without trials would block its name."""
    from tune.execution.ray_cluster import require_ray

    require_ray()


def _require_weights(spec: SweepSpec, manifest: DatasetManifest) -> None:
    """Check that pretrained weights fit the networks, and download missing ones."""
    fresh = [config for config in _samples(spec) if config.initial is None]
    pretrained = {config.name: config for config in fresh if _names_weights(config)}
    if not pretrained:
        return  # Importing torch would delay the driver by a second.
    from models.build import check_network

    for config in pretrained.values():
        check_network(config, **manifest.task)


def _names_weights(config: TrainConfig) -> bool:
    if is_timm(config.family):
        return bool(config.network["pretrained"] != NONE)
    return config.pretrained is not None


def _require_pictures(spec: SweepSpec, dataset: ImageDataset, carried: Carried) -> None:
    """Check that the dataset has the groups and folds that the spec needs."""
    for config in _samples(spec):
        check_groups(config, dataset.columns)
        for name in ("initial", "groups"):
            if getattr(config, name) != carried.hashes.get(name):
                raise SpecError(
                    f"{name} refers to a file of a retrained run; leave it out and use "
                    "`python -m tune retrain`"
                )
    if spec.folds is not None:
        check_folds(dataset, spec.folds, spec.repeats)


def _warm_up(sweep: Sweep, fingerprint: str) -> None:
    """Write the warm start to the ledger, unless it is already there."""
    if sweep.search.known is not None:
        return
    if (warm := read_warm_start(sweep.spec, fingerprint)) is not None:
        sweep.warm_start(warm.run, warm.trials, unfit=warm.unfit)
        print(warm, file=sys.stderr)


@contextmanager
def _stop_on_signals(sweep: Sweep, run: Path) -> Iterator[None]:
    """Stop cleanly on the first Ctrl-C or SIGTERM, and immediately on a later one.

    `timeout` and schedulers send each request twice: to the process and to its group.
    """
    heard: float | None = None

    def stop(number: int, _frame: FrameType | None) -> None:
        nonlocal heard
        now = time.monotonic()
        if heard is not None and now - heard < _ECHO_SECONDS:
            return
        heard = now
        if sweep.stopping is not None:
            os._exit(130)
        sweep.stop(f"stopped by {signal.Signals(number).name}")
        (run / STOP_FILE).touch()

    kinds = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(kind, stop) for kind in kinds]
    try:
        yield
    finally:
        for kind, handler in zip(kinds, before, strict=True):
            signal.signal(kind, handler)
