"""`tune latency`: measure how large and how fast the networks of a run are."""

import argparse
import json
import socket
import sys
import time
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from pathlib import Path

import torch

from data_prep.reader import ImageDataset
from fairsweep.command_line import shell_path
from fairsweep.processor import processor_name
from fairsweep.terminal import plain_console
from models.config import TrainConfig
from models.data import DeviceDataset
from models.latency import measure_network
from tune.commands.options import add_data, add_run, add_trust
from tune.commands.status import table_of
from tune.run.directory import RunError
from tune.run.incumbent import standings
from tune.run.latency import BATCHES, NetworkLatency, write_latencies
from tune.run.lease import holder_of
from tune.run.trial import Trial
from tune.session.code import open_code, refuse_own
from tune.session.run_directory import find_dataset
from tune.session.status import read_sweep
from tune.sweep.limits import network_key
from tune.sweep.spec import Resources, SweepSpec
from tune.sweep.state import SweepState

EXAMPLE = "runs/quick"
MOST = 50
"""Number of the best configurations whose networks are measured."""


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the run and the dataset."""
    add_run(command)
    add_data(command)
    add_trust(command)
    command.add_argument("--json", action="store_true", help="print a list of objects")


def run(parsed: argparse.Namespace) -> int:
    """Measure the best configurations' networks, write and print the result; return 0."""
    path: Path = parsed.run
    sweep = read_sweep(path)
    refuse_own(path, sweep.spec, "latency")
    if holder_of(path) is not None:
        raise RunError(
            f"{path} is running, which would slow down what is measured; stop it or wait"
        )
    trials = best_configurations(sweep)
    if not trials:
        raise RunError(
            f"{path} has no completed trial yet; see `python -m tune status {shell_path(path)}`"
        )
    open_code(path, sweep.spec, trust_code=parsed.trust_code)
    found = list(measure(sweep.spec, trials, find_dataset(path, parsed.data)))
    write_latencies(path, found)
    if parsed.json:
        print(json.dumps([asdict(each) for each in found]))
    else:
        print_latencies(found)
    return 0


def best_configurations(sweep: SweepState) -> list[Trial]:
    """Return a trial of each of the best configurations, best first."""
    ranked = standings(sweep.trainings())[:MOST]
    return [sweep.trials[standing.trial_id] for standing in ranked]


def measure(
    spec: SweepSpec, trials: Iterable[Trial], dataset: ImageDataset
) -> Iterator[NetworkLatency]:
    """Yield size and latency of each trial's network; equal networks are measured once.

    The measurement is on the GPU if there is one, with the CPU threads of a trial.
    """
    resources = spec.resources if isinstance(spec.resources, Resources) else Resources()
    threads = max(1, int(resources.cpus))
    torch.set_num_threads(threads)
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    data = DeviceDataset.create(dataset, device)
    known: dict[str, NetworkLatency] = {}
    for trial in trials:
        key = network_key(trial.config)
        if key not in known:
            print(f"measuring {trial.name}", file=sys.stderr)
            network = spec.networks.get(trial.config.get("family", ""))
            measured = measure_network(
                TrainConfig.create(trial.config),
                data,
                batch_sizes=BATCHES,
                channels_last=network is None or network.channels_last,
            )
            one, many = (measured.latencies[size] for size in BATCHES)
            on_gpu = device.type == "cuda"
            known[key] = NetworkLatency(
                configuration_id=trial.configuration_id,
                name=trial.name,
                parameters=measured.parameters,
                weights_bytes=measured.weights_bytes,
                p50_1=one.p50,
                p95_1=one.p95,
                p50_64=many.p50,
                p95_64=many.p95,
                device=torch.cuda.get_device_name() if on_gpu else processor_name(),
                threads=threads,
                host=socket.gethostname(),
                measured=time.strftime("%Y-%m-%d %H:%M:%S", time.gmtime()),
            )
        own = {"configuration_id": trial.configuration_id, "name": trial.name}
        yield NetworkLatency(**{**asdict(known[key]), **own})


def print_latencies(found: list[NetworkLatency]) -> None:
    """Print a row for each configuration, and where it was measured."""
    headings = ("parameters", "MB", "1 picture, ms", "p95", "64 pictures, ms", "p95")
    table = table_of("configuration", *headings)
    for each in found:
        table.add_row(
            each.name,
            f"{each.parameters:,}",
            f"{each.weights_bytes / 1e6:.3g}",
            *(f"{value:.3g}" for value in (each.p50_1, each.p95_1, each.p50_64, each.p95_64)),
        )
    console = plain_console()
    console.print(table)
    console.print(f"on {found[0].device}, threads: {found[0].threads}")
