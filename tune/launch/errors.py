"""What goes wrong on a cluster and the user must change."""

from fairsweep.errors import UserError


class LaunchError(UserError):
    """A cluster, or a request for one, that cannot be used; one line names node and cause."""
