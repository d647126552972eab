"""URLs of object stores: what may stand in them, and what a message shows of them."""

import re

from fairsweep.errors import UserError

_ADDRESS = re.compile(r"^(?P<scheme>[^:/?#]+://)(?P<keys>[^/?#]*@)?(?P<rest>.*)$", re.DOTALL)
_SECRET = re.compile(r"[?&][^=&]*(key|secret|token|password|credential|signature)[^=&]*=", re.I)


def is_url(place: str) -> bool:
    """Return whether a place lies in an object store."""
    return "://" in place


def check_url(place: str) -> str:
    """Return a place unchanged, unless it is a URL that holds credentials.

    What stands in a URL would be written to a run's files and shown in messages.

    Raises:
        UserError: It does; the message does not show them.
    """
    found = _ADDRESS.match(place)
    if found is None or not (found["keys"] or _SECRET.search(found["rest"])):
        return place
    shown = found["scheme"] + found["rest"].split("?")[0]
    raise UserError(
        f"a URL must not hold keys, but got some in that of {shown}; set AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY (or what your store's tools read) instead"
    )
