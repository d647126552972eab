"""Opens trainings by the user's own code in a worker. Imports torch only if that code does."""

import os
import random
import socket
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from fairsweep.own_code.copies import read_copy
from fairsweep.own_code.loading import load
from fairsweep.own_code.reference import Reference
from models.freed_memory import keep_freed_memory
from tune.execution.memory import MemoryRequest
from tune.execution.own_failures import failures_kept
from tune.execution.own_training import OwnTraining, OwnTrial
from tune.run.directory import CODE_DIR
from tune.run.objective import Objective
from tune.run.trial import COSTS
from tune.sweep.bundle import Bundle, Fusing
from tune.sweep.own_config import OwnConfig, TrainingCode

_WHOLE_GPU = 1_000_000
"""A GPU's memory in the unit of our requests, since its bytes are known to the code alone."""


@dataclass(frozen=True, kw_only=True)
class OwnFactory:
    """Opens the trainings of one sweep; see `tune.execution.factory.TrainingFactory`."""

    run: Path
    code: TrainingCode
    objectives: tuple[Objective, ...]
    classes: tuple[str, ...]
    find_data: Callable[[], str | None]
    """Returns the path of the data on this node; None if the spec names none."""
    threads: int
    """CPU threads per trial."""
    gpus: float = 0
    """GPUs that Ray reserves for a trial."""

    def __call__(self, bundle: Bundle) -> OwnTraining:
        """Open the trial's training at its last state, or at its start."""
        ((trial_id, values),) = bundle.trials.items()
        with failures_kept(self.run, trial_id, self.code.reference):
            function = self._function()
            config = OwnConfig.create(self.code, values)
            _set_threads(self.threads)
        keep_freed_memory()
        device = "cuda" if self.gpus else "cpu"
        trial = OwnTrial(
            id=trial_id,
            what=self.code.reference,
            start=lambda state: function(**self._arguments(config, state, device)),
            epochs=config.epochs,
            ends_with_epochs=self.code.gets_epochs,
            device=device,
            pauses_after=frozenset(bundle.pauses_after),
        )
        _seed_all(config.seed)
        return OwnTraining(
            run=self.run,
            trial=trial,
            objective=self.objectives[0],
            needed=[each.metric for each in self.objectives if each.metric not in COSTS],
            classes=self.classes,
        )

    def latency_ms(self, bundle: Bundle) -> float:
        """Refuse: the networks of own training code are not known."""
        raise NotImplementedError(bundle)

    def probe(self, bundle: Bundle) -> Fusing:
        """Return that trials of own code are never fused."""
        return Fusing(trials=tuple(bundle.trials), fused=False, gain=0.0, reason="own code")

    def memory_request(self, bundle: Bundle) -> MemoryRequest | None:
        """Ask for the share of the GPU that Ray reserves, or for all of it after a failure."""
        if not self.gpus:
            return None
        card = f"{socket.gethostname()} {os.environ.get('CUDA_VISIBLE_DEVICES', '')}"
        share = round(min(self.gpus, 1.0) * _WHOLE_GPU)
        return MemoryRequest(card=card, card_bytes=_WHOLE_GPU, kind=bundle.key, estimate=share)

    def peak_bytes(self) -> int:
        """Return 0: the peak is not measured, so that the requested share is kept."""
        return 0

    def _function(self) -> Callable[..., Any]:
        return _load(self.code.reference, self.run / CODE_DIR, self.code.hash)

    def _arguments(self, config: OwnConfig, state: Any, device: str) -> dict[str, Any]:
        offered = {
            "data": self.find_data(),
            "state": state,
            "seed": config.seed,
            "fold": config.fold,
            "folds": config.folds,
            "epochs": config.epochs,
            "device": device,
        }
        given = {name: offered[name] for name in self.code.signature.given}
        return {**config.values, **given}


@lru_cache(maxsize=1)  # Another run in this process may have other modules of the same names.
def _load(reference: str, folder: Path, content_hash: str) -> Callable[..., Any]:
    """Load the function from the run's copy of its files, which is read once per process."""
    return load(read_copy(Reference.parse(reference), folder, content_hash))


def _set_threads(threads: int) -> None:
    """Limit torch to the trial's cores; Ray does so for libraries with OpenMP."""
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(threads)


def _seed_all(seed: int) -> None:
    """Seed the global generators, so that a trial does not depend on earlier ones in its worker."""
    random.seed(seed)
    np.random.seed(seed % 2**32)
    if "torch" in sys.modules:
        import torch

        torch.manual_seed(seed)
