"""How a worker opens trainings: what the driver hands it, and the dataset that it keeps.

Only the worker needs torch, whose import would hold up the driver by a second.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from data_prep.reader import ImageDataset
from models.config import TrainConfig
from tune.memory import MemoryRequest
from tune.spec import Objective

if TYPE_CHECKING:
    from models.data import DeviceDataset
    from tune.training import TrialTraining

_CONTEXT_BYTES = 800_000_000
"""What CUDA and its libraries take of a card for each process."""


@dataclass(frozen=True, kw_only=True)
class TrainingFactory:
    """Opens the trainings of one sweep in a worker process; the dataset is put there once."""

    run: Path
    fingerprint: str
    objective: Objective
    threads: int
    """CPU threads of one trial."""
    load_dataset: Callable[[], ImageDataset]

    def __call__(self, trial_id: str, config: Mapping[str, Any]) -> "TrialTraining":
        """Open a trial's training where its last checkpoint stands, or at its start."""
        import torch

        from tune.training import TrialTraining

        torch.set_num_threads(self.threads)
        return TrialTraining(
            run=self.run,
            trial_id=trial_id,
            config=TrainConfig.create(config),
            objective=self.objective,
            data=self._data(),
        )

    def memory_request(self, config: Mapping[str, Any]) -> MemoryRequest | None:
        """Ask for what a trial will take of its GPU; a trial on CPU cores asks for nothing."""
        import torch

        from models.cost import training_cost

        if not torch.cuda.is_available():
            return None
        known = TrainConfig.create(config)
        data = self._data()
        cost = training_cost(known, classes=data.classes, image_shape=data.image_shape)
        properties = torch.cuda.get_device_properties(data.device)
        return MemoryRequest(
            card=str(properties.uuid),
            card_bytes=properties.total_memory,
            configuration_id=known.configuration_id,
            estimate=cost.memory_bytes + _CONTEXT_BYTES,
        )

    def peak_bytes(self) -> int:
        """Return the most GPU memory since the last call, and count anew."""
        import torch

        peak = torch.cuda.max_memory_reserved() + _CONTEXT_BYTES
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
        return peak

    def _data(self) -> "DeviceDataset":
        if self.fingerprint not in _on_device:
            import torch

            from models.data import DeviceDataset

            device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
            _on_device.clear()
            _on_device[self.fingerprint] = DeviceDataset.create(self.load_dataset(), device)
        return _on_device[self.fingerprint]


_on_device: dict[str, "DeviceDataset"] = {}
"""The dataset of this process by fingerprint; workers train for one sweep only."""
