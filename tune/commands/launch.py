"""`tune launch`: write a script or manifest that runs a sweep on a cluster.

Also holds the hidden commands that the script calls there.
"""

import argparse
import os
import sys
import time
from pathlib import Path
from typing import Any

from fairsweep.urls import is_url
from tune.commands.options import QUICK, add_spec, spec_of, words_of

Parsed = argparse.Namespace
EXAMPLE = f"slurm {QUICK} --nodes 4 --time 4:00:00 --submit"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add one set of options for each kind of cluster."""
    places = command.add_subparsers(required=True, metavar="slurm|pbs|lsf|kubernetes")

    def add(name: str, handler: Any, words: str = "", example: str = "") -> argparse.ArgumentParser:
        # --help lists only commands with a description.
        listed: dict[str, Any] = {"help": words, "description": words} if words else {}
        epilog = f"example: python -m tune launch {example}" if example else None
        place = places.add_parser(name, epilog=epilog, **listed)
        place.set_defaults(launch=handler)
        return place

    slurm = add(
        "slurm",
        _slurm,
        "Write a batch script that runs a sweep on Slurm, in as many allocations as it takes.",
        f"slurm {QUICK} --nodes 4 --gpus-per-node 4 --time 4:00:00 --submit",
    )
    _add_sweep(slurm)
    slurm.add_argument("--gpus-per-node", metavar="[TYPE:]N", help="such as 4 or v100l:4")
    slurm.add_argument("--time", help="time limit of one allocation, such as 4:00:00")
    for name in ("partition", "account", "qos", "constraint", "mem", "gres"):
        slurm.add_argument(f"--{name}", help=f"Slurm's --{name}")
    slurm.add_argument(
        "--sbatch", action="append", default=[], metavar="KEY=VALUE", type=_option,
        help="any other option of sbatch, such as mail-type=END",
    )  # fmt: skip
    _add_start(slurm)
    slurm.add_argument("--site", metavar="NAME|FILE", help="read settings from a site's profile")
    slurm.add_argument(
        "--stage-data", action="store_true", help="copy the dataset to each node's own disk, once"
    )
    _add_end(slurm, "Slurm")
    for kind, title in (("pbs", "PBS"), ("lsf", "LSF")):
        example = f"{kind} {QUICK} --cpus-per-node 8 --time 4:00:00 --jobs 6 --submit"
        words = f"Write a job script that runs a sweep on one node of {title}."
        _add_batch(add(kind, _batch, words, example), kind, title)
    kubernetes = add(
        "kubernetes",
        _kubernetes,
        "Write a KubeRay manifest that runs a sweep on Kubernetes.",
        f"kubernetes {QUICK} --image sweeps:1 --nodes 4 --cpus-per-node 8",
    )
    _add_sweep(kubernetes)
    kubernetes.add_argument(
        "--gpus-per-node", type=int, default=0, metavar="N", help="default none"
    )
    kubernetes.add_argument(
        "--image", default="sweeps:latest", help="image built from the Dockerfile"
    )
    kubernetes.add_argument(
        "--claim", default="sweeps", metavar="NAME", help="volume claim for data and runs"
    )
    kubernetes.add_argument("--memory", default="32Gi", help="memory of a node, such as 32Gi")
    kubernetes.add_argument("--namespace", metavar="NAME", help="default that of kubectl")
    kubernetes.add_argument(
        "--node-selector", action="append", default=[], metavar="KEY=VALUE", type=_option,
        help="train only on nodes with this label; may be given several times",
    )  # fmt: skip
    kubernetes.add_argument(
        "--toleration", action="append", default=[], metavar="KEY[=VALUE][:EFFECT]",
        help="a taint that the pods tolerate, such as nvidia.com/gpu:NoSchedule",
    )  # fmt: skip
    kubernetes.add_argument(
        "--pull-secret", metavar="NAME", help="secret for the registry of the image"
    )
    kubernetes.add_argument(
        "--prepare", metavar="COMMAND",
        help="write a Job that runs this on the claim, such as 'python -m data_prep …', instead of "
        "the sweep",
    )  # fmt: skip
    kubernetes.add_argument(
        "--out", type=Path, metavar="FILE", help="write to FILE instead of stdout"
    )
    _add_inner_parts(add)


def run(parsed: Parsed) -> int:
    """Call the handler of the kind of cluster and return its exit code."""
    code: int = parsed.launch(parsed)
    return code


def _add_inner_parts(add: Any) -> None:
    """Add the commands that the scripts call; `--help` does not list them."""
    for name, handler in (("allocation", _allocation), ("sweep", _sweep)):
        add_spec(add(name, handler))
    stopped = add("stopped", _stopped)
    stopped.add_argument("run", type=Path)
    stopped.add_argument("--since", type=float, default=0.0)
    node = add("node", _node)
    node.add_argument("--address", required=True)
    node.add_argument("--gpus", type=int, default=0)
    check = add("check", _check)
    check.add_argument("--mark", required=True)
    check.add_argument("--gpus", action="store_true")


def _add_batch(place: argparse.ArgumentParser, kind: str, title: str) -> None:
    """Add the options for a job script of PBS or LSF."""
    place.set_defaults(kind=kind)
    add_spec(place)
    place.add_argument("--cpus-per-node", type=int, metavar="N", help="cores of the job")
    place.add_argument("--gpus-per-node", type=int, default=0, metavar="N", help="default none")
    place.add_argument("--time", help="time limit of one job, such as 4:00:00")
    place.add_argument("--mem", help="memory of the job, such as 32GB")
    place.add_argument("--queue", help=f"queue of {title}")
    account = "account (-A)" if kind == "pbs" else "project (-P)"
    place.add_argument("--account", help=f"{account} that pays for the job")
    _add_start(place)
    place.add_argument(
        "--jobs", type=int, default=1, metavar="N",
        help="submit N jobs, each of which continues the one before; default 1",
    )  # fmt: skip
    _add_end(place, title)


def _add_start(place: argparse.ArgumentParser) -> None:
    """Add how Python is started in a job."""
    place.add_argument(
        "--setup", action="append", default=[], metavar="COMMAND|FILE",
        help="run this in the job before Python, such as 'module load cuda'",
    )  # fmt: skip
    place.add_argument(
        "--python", metavar="COMMAND",
        help="runs Python on the nodes, such as 'apptainer exec --nv image.sif python'",
    )  # fmt: skip


def _add_end(place: argparse.ArgumentParser, title: str) -> None:
    """Add what is done with a script."""
    place.add_argument("--submit", action="store_true", help=f"submit the script to {title}")
    place.add_argument("--out", type=Path, metavar="FILE", help="write to FILE instead of stdout")


def _add_sweep(place: argparse.ArgumentParser) -> None:
    add_spec(place)
    place.add_argument("--nodes", type=int, default=1, metavar="N", help="machines; default 1")
    place.add_argument(
        "--cpus-per-node", type=int, metavar="N", help="cores; on Slurm by default all"
    )


def _option(text: str) -> tuple[str, str]:
    """Return key and value of ``KEY=VALUE``; the value of a flag is empty."""
    key, _, value = text.removeprefix("--").partition("=")
    return key, value


def _slurm(parsed: Parsed) -> int:
    from tune.launch.job import refuse_if_running
    from tune.launch.site import read_site
    from tune.launch.slurm import submit
    from tune.launch.slurm_request import request_of
    from tune.run.directory import RUNS

    spec = _spec(parsed)
    request = request_of(parsed, read_site(parsed.site), spec.name, words_of(parsed))
    if parsed.submit:
        refuse_if_running(RUNS / request.name)
    if parsed.submit and parsed.out is None:
        parsed.out = Path(f"{request.name}.sbatch")
    _hand_over(request.script(), parsed.out)
    _warn_without_data(spec.data)
    if parsed.submit:
        job = submit(parsed.out)
        print(f"job {job} from {parsed.out}; its log is {request.name}-{job}.log")
    return 0


def _warn_without_data(data: str) -> None:
    """Warn if the job would not find its data: it would queue for nothing."""
    if data and not is_url(data) and not Path(data).exists():
        print(
            f"warning: data: there is nothing at {data}; the job ends with an error unless it is "
            "there when the job starts",
            file=sys.stderr,
        )


def _batch(parsed: Parsed) -> int:
    from tune.launch.batch import ENDS, BatchRequest, submit_chain
    from tune.launch.job import refuse_if_running
    from tune.run.directory import RUNS

    sizes = _given(parsed, "cpus_per_node", "gpus_per_node", "time", "mem", "jobs")
    spec = _spec(parsed)
    request = BatchRequest(
        name=spec.name,
        words=tuple(words_of(parsed)),
        setup=tuple(parsed.setup),
        **sizes,
        **_given(parsed, "kind", "queue", "account", "python"),
    )
    if parsed.submit:
        refuse_if_running(RUNS / request.name)
        parsed.out = parsed.out or Path(f"{request.name}.{request.kind}")
    _hand_over(request.script(), parsed.out)
    _warn_without_data(spec.data)
    if parsed.submit:
        ids = " ".join(submit_chain(request.kind, parsed.out, jobs=request.jobs))
        print(f"jobs from {parsed.out}: {ids}; to end them: {ENDS[request.kind]} {ids}")
    return 0


def _kubernetes(parsed: Parsed) -> int:
    from tune.launch.kubernetes import KubernetesRequest

    request = KubernetesRequest(
        spec=_spec(parsed),
        node_selector=dict(parsed.node_selector),
        tolerations=tuple(parsed.toleration),
        **_given(parsed, "image", "nodes", "gpus_per_node", "cpus_per_node", "claim", "memory"),
        **_given(parsed, "namespace", "pull_secret"),
    )
    prepare = parsed.prepare
    manifest = request.manifest() if prepare is None else request.preparation(prepare)
    _hand_over(manifest, parsed.out)
    return 0


def _allocation(parsed: Parsed) -> int:
    from tune.launch.allocation import run_in_allocation

    return run_in_allocation(spec_of(parsed).name, words_of(parsed))


def _sweep(parsed: Parsed) -> int:
    """Start the sweep, or resume it if it has started."""
    from tune.run.directory import LEDGER_FILE, RUNS

    run = RUNS / spec_of(parsed).name
    if (run / LEDGER_FILE).exists():
        _wait_for_lease(run)
        words = ["resume", str(run), *(["--data", parsed.data] if parsed.data else [])]
    else:
        words = ["run", *words_of(parsed)]
    # It replaces this process, so that signals reach it.
    os.execv(sys.executable, [sys.executable, "-m", "tune", *words])


def _wait_for_lease(run: Path) -> None:
    """Wait until the lease of a driver whose node died has expired, but not forever."""
    from tune.run.lease import LEASE_SECONDS, holder_of

    until = time.monotonic() + 1.5 * LEASE_SECONDS
    while holder_of(run) is not None and time.monotonic() < until:
        time.sleep(1)


def _stopped(parsed: Parsed) -> int:
    """Return 0 if `tune stop` ended the run, and 1 if something else did."""
    from tune.session.status import was_asked_to_stop

    return 0 if was_asked_to_stop(parsed.run, since=parsed.since) else 1


def _node(parsed: Parsed) -> int:
    from tune.launch.node import become_ray_node

    become_ray_node(parsed.address, gpus=parsed.gpus)
    return 0


def _check(parsed: Parsed) -> int:
    from tune.launch.preflight import look

    mark = Path(f"{parsed.mark}{os.environ['SLURM_PROCID']}")
    print(look(mark, gpus=parsed.gpus).to_json())
    return 0


def _hand_over(text: str, path: Path | None) -> None:
    from tune.launch.errors import LaunchError

    if path is None:
        print(text, end="")
        return
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise LaunchError(
            f"cannot write {path}: {error.strerror}; give --out a file in an existing folder"
        ) from error


def _given(parsed: Parsed, *names: str) -> dict[str, Any]:
    return {name: getattr(parsed, name) for name in names}


def _spec(parsed: Parsed) -> Any:
    """Load the spec, and refuse it if another sweep has its name."""
    from tune.launch.errors import LaunchError
    from tune.run.directory import LEDGER_FILE, RUNS
    from tune.session.run_directory import read_spec

    spec = spec_of(parsed)
    run = RUNS / spec.name
    if (run / LEDGER_FILE).exists() and _apart(spec) != _apart(read_spec(run)):
        raise LaunchError(
            f"{run} was made from another spec; give this run another --name, "
            f"or continue the other: launch {run}/spec.yaml"
        )
    return spec


def _apart(spec: Any) -> Any:
    """Return the parts of a spec that identify its sweep; the dataset may have moved."""
    return spec.model_copy(update={"data": ""})
