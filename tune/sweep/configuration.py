"""What a sweep needs to know of a configuration, whoever trains it."""

from typing import Any, Protocol


class Configuration(Protocol):
    """Hyperparameters, seed and fold of one training: `TrainConfig`, or `OwnConfig`."""

    @property
    def epochs(self) -> int:
        """Number of epochs of the complete training."""
        ...

    @property
    def fold(self) -> int | None:
        """Fold used for validation; None for the dataset's split."""
        ...

    @property
    def name(self) -> str:
        """Short name for users."""
        ...

    @property
    def configuration_id(self) -> str:
        """Hash of all values except seed and fold."""
        ...

    @property
    def schedule_needs_epochs(self) -> bool:
        """Whether the training depends on the number of epochs, so that it cannot continue."""
        ...

    @property
    def by_every_name(self) -> dict[str, Any]:
        """`to_dict`, with renamed hyperparameters under their earlier names as well."""
        ...

    def trial_id(self, fingerprint: str) -> str:
        """Hash of all that determines a trial's result on the dataset with this ``fingerprint``."""
        ...

    def to_dict(self) -> dict[str, Any]:
        """Return every value that is not None, for JSON."""
        ...
