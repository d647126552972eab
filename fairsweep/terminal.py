"""The console on which commands print tables and lines."""

from rich.console import Console


def plain_console(*, stderr: bool = False) -> Console:
    """Return a console that prints words of users as they stand.

    By default, rich takes ``[blocks]`` for a style and ``:warning:`` for a sign.
    """
    return Console(stderr=stderr, markup=False, emoji=False)
