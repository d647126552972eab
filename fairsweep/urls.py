"""URLs of object stores, which must not hold credentials."""

import re

from fairsweep.errors import UserError

_ADDRESS = re.compile(r"^(?P<scheme>[^:/?#]+://)(?P<keys>[^/?#]*@)?(?P<rest>.*)$", re.DOTALL)
_SECRET = re.compile(r"[?&][^=&]*(key|secret|token|password|credential|signature)[^=&]*=", re.I)


def is_url(place: str) -> bool:
    """Return whether ``place`` is a URL rather than a local path."""
    return "://" in place


def check_url(place: str) -> str:
    """Return ``place`` if it is not a URL with credentials.

    Credentials in a URL would be written to a run's files and shown in messages.

    Raises:
        UserError: The URL holds credentials, which the message does not show.
    """
    found = _ADDRESS.match(place)
    if found is None or not (found["keys"] or _SECRET.search(found["rest"])):
        return place
    shown = found["scheme"] + found["rest"].split("?")[0]
    raise UserError(
        f"a URL must not hold keys, but got some in {shown}; set AWS_ACCESS_KEY_ID and "
        "AWS_SECRET_ACCESS_KEY (or what your store's tools read) instead"
    )
