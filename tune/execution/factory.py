"""Opens trainings in a worker: what the driver sends it, and the dataset that it keeps.

Only the worker imports torch, because the import would delay the driver by a second.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from data_prep.reader import ImageDataset
from fairsweep.errors import UserError
from fairsweep.own_code.provided import provide_copies
from models.config import TrainConfig
from tune.execution.memory import MemoryRequest
from tune.run.directory import CODE_DIR
from tune.run.objective import Objective
from tune.sweep.bundle import Bundle, Fusing

if TYPE_CHECKING:
    from models.data import DeviceDataset
    from tune.execution.training import BundleTraining

_CONTEXT_BYTES = 800_000_000
"""GPU memory that CUDA and its libraries take for each process."""


@dataclass(frozen=True, kw_only=True)
class TrainingFactory:
    """Opens the trainings of one sweep in a worker process, which loads the dataset once."""

    run: Path
    fingerprint: str
    objective: Objective
    threads: int
    """CPU threads per trial."""
    load_dataset: Callable[[], ImageDataset]
    gpus: float = 0
    """GPUs that Ray reserves for a trial."""
    always_fuse: bool = False
    """Whether trials are fused whenever possible, even if this is slower."""
    own_code: Mapping[str, str] = field(default_factory=dict)
    """Hash of the own networks by reference; the run holds their code."""

    def __call__(self, bundle: Bundle) -> "BundleTraining":
        """Open the trials' training at their last checkpoint, or at its start."""
        import torch

        from tune.execution.training import BundleTraining

        torch.set_num_threads(self.threads)
        return BundleTraining(
            run=self.run, bundle=bundle, objective=self.objective, data=self._data()
        )

    def latency_ms(self, bundle: Bundle) -> float:
        """Build the network with random weights, which is as fast as a trained one, and time it."""
        import torch

        from models.latency import measure_network

        torch.set_num_threads(self.threads)
        config = TrainConfig.create(bundle.trials[bundle.key])
        found = measure_network(config, self._data(), channels_last=bundle.channels_last)
        return found.latencies[1].p50

    def probe(self, bundle: Bundle) -> Fusing:
        """Time a few steps of separate and fused training, and return which is faster."""
        import torch

        from models.probe import probe

        torch.set_num_threads(self.threads)
        configs = [TrainConfig.create(values) for values in bundle.trials.values()]
        found = probe(configs, self._data(), always=self.always_fuse)
        return Fusing(
            trials=tuple(bundle.trials),
            fused=found.pays or (self.always_fuse and not found.reason),
            gain=round(found.gain, 3),
            channels_last=found.channels_last,
            reason=found.reason,
        )

    def memory_request(self, bundle: Bundle) -> MemoryRequest | None:
        """Return the GPU memory that the trials need; None on CPU cores."""
        import torch

        from models.cost import training_cost

        if not torch.cuda.is_available():
            return None
        known, members = TrainConfig.create(bundle.trials[bundle.key]), len(bundle.trials)
        data = self._data()
        cost = training_cost(known, **data.task)
        properties = torch.cuda.get_device_properties(data.device)
        return MemoryRequest(
            card=str(properties.uuid),
            card_bytes=properties.total_memory,
            kind=f"{known.configuration_id} × {members}",
            estimate=members * cost.memory_bytes + _CONTEXT_BYTES,
        )

    def peak_bytes(self) -> int:
        """Return the peak GPU memory since the last call, in bytes, and reset it."""
        import torch

        peak = torch.cuda.max_memory_reserved() + _CONTEXT_BYTES
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        return peak

    def _data(self) -> "DeviceDataset":
        if self.fingerprint not in _on_device:
            provide_copies(self.run / CODE_DIR, self.own_code)
            import torch

            from models.data import DeviceDataset
            from models.freed_memory import keep_freed_memory

            if self.gpus and not torch.cuda.is_available():
                raise UserError(
                    f"Ray has given this trial {self.gpus:g} GPUs, but torch {torch.__version__} "
                    "sees none, and would train on CPU cores; install a torch for this GPU and its "
                    "driver, or set resources to {cpus: 1}"
                )
            keep_freed_memory()
            device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
            _on_device.clear()
            _on_device[self.fingerprint] = DeviceDataset.create(self.load_dataset(), device)
        return _on_device[self.fingerprint]


_on_device: dict[str, "DeviceDataset"] = {}
"""The dataset of this process by fingerprint; a worker trains for one sweep only."""
