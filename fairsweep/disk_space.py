"""Reports a full disk as an error that the user can fix."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from fairsweep.errors import UserError

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def enough_space(what: str, way_out: str) -> Iterator[None]:
    """Raise UserError if the disk is full.

    Args:
        what: What is written.
        way_out: What the user can do other than free some space.

    Raises:
        UserError: There is no space left for ``what``.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        raise UserError(
            f"no space left for {what} ({error.strerror}); free some or {way_out}"
        ) from error
