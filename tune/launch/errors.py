"""The error of a cluster, or of a request for one."""

from fairsweep.errors import UserError


class LaunchError(UserError):
    """A cluster or a request for one cannot be used; the message names the node and the cause."""
