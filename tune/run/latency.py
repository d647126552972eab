"""Size and latency of a run's networks, as `tune latency` has measured them."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from fairsweep.command_line import shell_path
from fairsweep.errors import UserError
from tune.run.directory import LATENCY_FILE
from tune.run.tables import write_table

BATCHES = (1, 64)
"""Numbers of pictures that are predicted together."""


@dataclass(frozen=True, kw_only=True)
class NetworkLatency:
    """Size and latency of the network of one configuration, on one machine."""

    configuration_id: str
    name: str
    parameters: int
    """All parameters of the network, trainable and frozen."""
    weights_bytes: int
    """Bytes of all parameters and buffers, as they are exported."""
    p50_1: float
    """Median of the milliseconds to predict one picture."""
    p95_1: float
    """95th percentile of the same."""
    p50_64: float
    """Median of the milliseconds to predict 64 pictures together."""
    p95_64: float
    """95th percentile of the same."""
    device: str
    """Name of the processor or GPU."""
    threads: int
    """CPU threads of torch."""
    host: str
    measured: str
    """When it was measured, as in ``2026-01-31 12:00:00``, in UTC."""


def write_latencies(run: Path, latencies: Iterable[NetworkLatency]) -> None:
    """Write the file of a run, atomically; it replaces an earlier one."""
    write_table(pa.Table.from_pylist([asdict(each) for each in latencies]), run / LATENCY_FILE)


def read_latencies(run: Path) -> pa.Table | None:
    """Read a row per configuration, with the columns of `NetworkLatency`; None if there is no file.

    Raises:
        UserError: The file is damaged.
    """
    path = run / LATENCY_FILE
    if not path.is_file():
        return None
    try:
        return pq.read_table(path)
    except (OSError, pa.ArrowException) as error:
        raise UserError(
            f"{path} is damaged; `python -m tune latency {shell_path(run)}` makes it"
        ) from error
