"""What goes wrong on a cluster and the user must change."""


class LaunchError(ValueError):
    """A cluster, or a request for one, that cannot be used; one line names node and cause."""
