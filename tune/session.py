"""One sitting of a sweep: opens the run, starts Ray, drives the sweep, leaves tables behind."""

import functools
import os
import signal
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import ray

from data_prep.reader import ImageDataset, read_dataset
from tune.disk import SPARE_BYTES, check_space, needed_bytes, wait_for_space
from tune.engine import Slots, drive, ray_session
from tune.extend import extended_spec, what_counts
from tune.factory import TrainingFactory
from tune.keeping import Keeper
from tune.ledger import Ledger
from tune.loggers import Loggers, require_loggers
from tune.progress import Progress
from tune.repair import repair
from tune.run_directory import (
    RunError,
    create_run,
    hold,
    read_provenance,
    read_spec,
    write_spec,
)
from tune.schema import STOP_FILE, read_events
from tune.spec import Resources, SweepSpec
from tune.sweep import Sweep
from tune.tables import write_tables
from tune.warm_start import read_warm_start

_TABLES_SHARE = 0.02
"""Most of a sitting's time that writing tables on the way may take."""
_MOST_PER_GPU = 8
"""Most workers on one GPU; each holds a core and its own context on the card."""
_LOOK_SECONDS = 0.2
"""How often stop requests are looked for and progress is shown."""


def start(spec: SweepSpec, root: Path) -> tuple[Path, Sweep]:
    """Run a new sweep until it is finished or stopped; return its directory and its end.

    Raises:
        FileNotFoundError: There is no dataset at ``spec.data``.
        RunError: A run of this name is there already.
        SpecError: Searcher, scheduler, space and warm start do not go together.
    """
    dataset = read_dataset(Path(spec.data))
    Sweep(spec, fingerprint=dataset.manifest.fingerprint)  # Refuses a bad spec before a file is.
    read_warm_start(spec, dataset.manifest.fingerprint)
    require_loggers(spec)
    root.mkdir(exist_ok=True)
    check_space(root, SPARE_BYTES)
    run = create_run(root, spec, dataset.manifest)
    return run, sit(run, spec, dataset)


def resume(run: Path, *, data: Path | None = None) -> Sweep:
    """Go on with a run that was stopped or killed; a finished one is left as it is.

    Args:
        run: The run directory.
        data: Where the dataset is now, if not where it was.

    Raises:
        FileNotFoundError: The dataset is not there.
        RunError: ``run`` is no run directory, in use, or of another dataset.
    """
    return sit(run, read_spec(run), _find_dataset(run, data))


def extend(
    run: Path, *, samples: int = 0, overrides: Iterable[str] = (), data: Path | None = None
) -> Sweep:
    """Let a finished or stopped run grow; what was trained counts.

    Args:
        run: The run directory.
        samples: How many more configurations its searcher may propose.
        overrides: ``key=value`` changes of its spec.
        data: Where the dataset is now, if not where it was.

    Raises:
        RunError: As `resume`; or a change would make it another sweep.
        SpecError: The extended spec breaks a rule.
    """
    spec = read_spec(run)
    larger = extended_spec(spec, samples=samples, overrides=overrides)
    return sit(run, spec, _find_dataset(run, data), larger=larger)


def open_test(run: Path, *, trial_id: str | None = None, data: Path | None = None) -> str:
    """Measure a trial on the test split, note it in the ledger, and say what came out in a line.

    Args:
        run: The run directory.
        trial_id: The trial; by default the incumbent.
        data: Where the dataset is now, if not where it was.

    Raises:
        RunError: As `resume`; or the trial is unknown or its weights are not kept.
    """
    from tune.predictions import best_weights, predict_from_best

    dataset = _find_dataset(run, data)
    with hold(run), Ledger(run) as ledger:
        sweep = Sweep(
            read_spec(run),
            fingerprint=dataset.manifest.fingerprint,
            commit=ledger.append,
            events=read_events(run),
        )
        trial = sweep.trials.get(trial_id) if trial_id else sweep.incumbent
        if trial is None:
            raise RunError(
                f"{run} has no trial {trial_id}; `python -m analysis table {run} --format json` "
                "names them"
                if trial_id
                else f"{run} has no trained trial yet"
            )
        if not best_weights(run, trial.id).is_file():
            raise RunError(
                f"the best weights of trial {trial.id} are not kept; only those of the best trials "
                "are, unless the spec says keep: all"
            )
        sweep.open_test(trial.id)
        accuracy = predict_from_best(run, trial.id, dataset, "test")
    pictures = len(dataset.rows("test"))
    return (
        f"{trial.name} (trial {trial.id}): test accuracy {accuracy:.4f} on {pictures} pictures; "
        f"this run has opened the test split {len(sweep.openings)} times"
    )


def _find_dataset(run: Path, data: Path | None) -> ImageDataset:
    provenance = read_provenance(run)
    dataset = read_dataset(data or Path(provenance["dataset"]["path"]))
    expected = provenance["dataset"]["fingerprint"]
    if dataset.manifest.fingerprint != expected:
        raise RunError(
            f"the dataset has fingerprint {dataset.manifest.fingerprint}, but {run} was made with "
            f"{expected}; give --data the dataset that it was made with"
        )
    return dataset


def sit(
    run: Path, spec: SweepSpec, dataset: ImageDataset, larger: SweepSpec | None = None
) -> Sweep:
    """Drive a run from where its ledger stands, under a ``larger`` spec if there is one."""
    run = run.absolute()
    with hold(run), Ledger(run) as ledger:
        sweep = Sweep(
            spec,
            fingerprint=dataset.manifest.fingerprint,
            commit=ledger.append,
            events=read_events(run),
        )
        if larger is not None:
            _extend(run, sweep, larger)
        for line in repair(run, sweep, dataset):
            print(f"{run}: {line}", file=sys.stderr)
        loggers = Loggers(run, sweep)
        if not sweep.finished:
            _drive(run, sweep, dataset, loggers)
        loggers.close()
        for request in run.glob(f"{STOP_FILE}*"):
            request.unlink()
        write_spec(run, sweep.spec)
        write_tables(run, sweep, dataset.manifest.classes)
        Keeper(run, sweep).sweep_up()
    return sweep


def _extend(run: Path, sweep: Sweep, larger: SweepSpec) -> None:
    before = {trial.id: trial.epochs for trial in sweep.trials.values() if trial.ended}
    sweep.extend(larger)
    print(f"{run}: {what_counts(run, before, sweep)}", file=sys.stderr)


def _drive(run: Path, sweep: Sweep, dataset: ImageDataset, loggers: Loggers) -> None:
    sweep.begin()
    _warm_up(sweep, dataset.manifest.fingerprint)
    (run / STOP_FILE).unlink(missing_ok=True)
    store_bytes = max(200_000_000, 3 * dataset.pixels.nbytes)
    with ray_session(object_store_bytes=store_bytes), Progress(sweep) as progress:
        slots = find_slots(sweep.spec)
        factory = TrainingFactory(
            run=run,
            fingerprint=dataset.manifest.fingerprint,
            objective=sweep.spec.objective,
            threads=max(1, int(slots.cpus)),
            load_dataset=functools.partial(ray.get, ray.put(dataset)),
        )
        chores = Chores(run, sweep, dataset.manifest.classes, progress, loggers)
        with _stop_on_signals(sweep, run):
            drive(sweep, run=run, slots=slots, make_training=factory, on_step=chores.do)
    sweep.close()


def _warm_up(sweep: Sweep, fingerprint: str) -> None:
    """Enter another run's results into the ledger, unless they are there already."""
    if sweep.known is None and (warm := read_warm_start(sweep.spec, fingerprint)) is not None:
        sweep.warm_start(warm.run, warm.trials, unfit=warm.unfit)
        print(warm, file=sys.stderr)


def find_slots(spec: SweepSpec) -> Slots:
    """Return how many trials run at once on the connected Ray, and with what each.

    By default a CPU core each: trials side by side on one thread train more pictures a second than
    one after another on many. Where there are GPUs several share each; its memory decides how many
    of them train at a time.
    """
    have = ray.cluster_resources()
    cores, gpus = have.get("CPU", 1.0), have.get("GPU", 0.0)
    asked = spec.resources
    if isinstance(asked, str):
        asked = Resources(gpus=1 / _per_gpu(cores / gpus)) if gpus else Resources(cpus=1)
    fit = int(cores // asked.cpus)
    if asked.gpus:
        fit = min(fit, int(gpus / asked.gpus))
    count = min(fit, asked.trials_at_once or fit)
    if count < 1:
        raise ValueError(
            f"a trial asks for {asked.cpus} CPUs and {asked.gpus} GPUs, but Ray has {cores:.0f} "
            f"and {gpus:.0f}; change resources in the spec"
        )
    return Slots(cpus=asked.cpus, gpus=asked.gpus, count=count)


def _per_gpu(cores: float) -> int:
    return max(1, min(_MOST_PER_GPU, int(cores)))


class Chores:
    """What is done beside the trials: progress, logs, tables, disk, budget, stop requests."""

    def __init__(
        self,
        run: Path,
        sweep: Sweep,
        classes: tuple[str, ...],
        progress: Progress,
        loggers: Loggers,
    ) -> None:
        self._run = run
        self._sweep = sweep
        self._classes = classes
        self._progress = progress
        self._loggers = loggers
        self._keeper = Keeper(run, sweep)
        self._next_look = 0.0
        self._next_tables = 0.0

    def do(self) -> None:
        """Do what is due; cheap enough to be called at any time."""
        now = time.monotonic()
        if now < self._next_look:
            return
        self._look_for_a_stop()
        wait_for_space(
            self._run,
            needed_bytes(self._sweep),
            tell=self._progress.tell,
            give_up=self._asked_to_stop,
        )
        self._progress.update()
        self._loggers.update()
        self._keeper.tidy()
        if now >= self._next_tables:
            write_tables(self._run, self._sweep, self._classes)
            took = time.monotonic() - now
            self._next_tables = now + max(5.0, took / _TABLES_SHARE)
        self._next_look = time.monotonic() + _LOOK_SECONDS

    def _asked_to_stop(self) -> bool:
        self._look_for_a_stop()
        return self._sweep.stopping is not None

    def _look_for_a_stop(self) -> None:
        for request in self._run.glob(f"{STOP_FILE}-*"):
            self._stop_trial(request)
        if self._sweep.stopping is not None:
            return
        if (self._run / STOP_FILE).exists():
            self._sweep.stop("asked to by `tune stop`")
        elif spent := self._sweep.budget_spent():
            self._sweep.stop(spent)
            (self._run / STOP_FILE).touch()

    def _stop_trial(self, request: Path) -> None:
        trial = self._sweep.trials.get(request.name.removeprefix(f"{STOP_FILE}-"))
        if trial is None or trial.ended:
            request.unlink()
        else:
            self._sweep.stop_trial(trial.id, "stopped by hand")


@contextmanager
def _stop_on_signals(sweep: Sweep, run: Path) -> Iterator[None]:
    """On the first Ctrl-C or SIGTERM let trials write a checkpoint; on the second end at once."""

    def stop(number: int, _frame: FrameType | None) -> None:
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
