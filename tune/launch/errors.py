"""The error for a cluster, or a request for one, that cannot be used."""

from fairsweep.errors import UserError


class LaunchError(UserError):
    """A cluster, or a request for one, cannot be used; the message names the cause."""


class NotStartedError(LaunchError):
    """A job must leave its nodes before Ray has started on them."""
