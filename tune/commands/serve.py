"""`tune serve`: a live page of runs, on this machine's loopback address."""

import argparse
from pathlib import Path

from fairsweep.errors import UserError
from tune.run.directory import LEDGER_FILE, RUNS, RunError
from tune.session.live import LiveServer

EXAMPLE = "runs/quick"


def add_arguments(command: argparse.ArgumentParser) -> None:
    """Add the run and the port."""
    command.add_argument(
        "run", type=Path, metavar="RUN", nargs="?", help="a run directory (default all of runs/)"
    )
    command.add_argument("--port", type=int, default=0, help="default: one that is free")


def run(parsed: argparse.Namespace) -> int:
    """Serve until Ctrl-C and return 0."""
    with _server(parsed.run, parsed.port) as server:
        print(f"open {server.address} (Ctrl-C ends the page, not the sweep)", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            print()
    return 0


def _server(run: Path | None, port: int) -> LiveServer:
    if run is not None and not (run / LEDGER_FILE).is_file():
        raise RunError(f"{run} is not a run directory; name one, or none to see all of {RUNS}/")
    place = None if run is None else run.resolve()
    try:
        if place is None:
            return LiveServer(RUNS, port=port)
        return LiveServer(place.parent, only=place.name, port=port)
    except (OSError, OverflowError) as error:
        raise UserError(f"--port {port} cannot be used ({error}); leave it out") from error
