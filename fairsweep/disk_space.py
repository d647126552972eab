"""Tells a full disk in one line that says what to do."""

import errno
from collections.abc import Iterator
from contextlib import contextmanager

from fairsweep.errors import UserError

NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


@contextmanager
def enough_space(what: str, way_out: str) -> Iterator[None]:
    """Report a full disk as the user's to mend.

    Args:
        what: What is written.
        way_out: What to do apart from freeing some space.

    Raises:
        UserError: There is no space for ``what``.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise
        raise UserError(
            f"no space left for {what} ({error.strerror}); free some or {way_out}"
        ) from error
