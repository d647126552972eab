"""The server of the live page, on loopback: it reads run directories and passes on requests.

Each address begins with a random token, which only the user who started the server knows. Requests
for other host names are refused, so that no web page can reach it by a name of its own that
resolves to this machine (DNS rebinding).
"""

import hmac
import json
import secrets
import sys
import threading
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from fairsweep.drawing.axis import AXIS_JS
from fairsweep.errors import UserError
from tune.run.directory import LEDGER_FILE
from tune.run.lease import holder_of
from tune.session.following import Follower
from tune.session.status import request_retry, request_stop

REQUESTS = {"stop": request_stop, "retry": request_retry}
"""What a page may ask of a run or a trial; also the first part of the address."""
_HOSTS = ("127.0.0.1", "localhost")
_HERE = Path(__file__).parent
_SCRIPTS = (AXIS_JS, *(_HERE / f"live{part}.js" for part in ("_chart", "_table", "")))
_FILES = {
    "": (_HERE / "live.html", "text/html"),
    **{path.name: (path, "text/javascript") for path in _SCRIPTS},
}
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; connect-src 'self'; "
    "style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}


class LiveServer(ThreadingHTTPServer):
    """Serves the runs directly below a folder, or one run of it."""

    daemon_threads = True

    def __init__(self, folder: Path, *, only: str | None = None, port: int = 0) -> None:
        """Listen on ``port`` of 127.0.0.1, or on a free one; raises OSError if it is taken."""
        super().__init__(("127.0.0.1", port), _Handler)
        self.token = secrets.token_urlsafe(24)
        self.lock = threading.Lock()
        self._folder = folder
        self._only = only
        self._followers: dict[str, Follower] = {}

    @property
    def address(self) -> str:
        """The address of the page."""
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"

    def names(self) -> list[str]:
        """Return the names of the runs that are there now."""
        if self._only is not None:
            return [self._only]
        return sorted(path.parent.name for path in self._folder.glob(f"*/{LEDGER_FILE}"))

    def runs(self) -> list[dict[str, Any]]:
        """Return ``name`` of each run, and ``running``: whether a driver holds it."""
        return [
            {"name": name, "running": holder_of(self._folder / name) is not None}
            for name in self.names()
        ]

    def news(self, name: str, since: int, chosen: str | None = None) -> dict[str, Any]:
        """Return `Follower.news` of a run; raises the errors of `Follower`."""
        return self._follower(name).news(since, chosen)

    def traceback(self, name: str, trial: str) -> str:
        """Return `Follower.traceback` of a trial; raises the errors of `Follower`."""
        return self._follower(name).traceback(trial)

    def ask(self, what: str, name: str, trial: str | None) -> None:
        """Pass on one of ``REQUESTS`` about a run or one of its trials; raises its errors."""
        REQUESTS[what](self._folder / name, trial)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a page that was closed before its answer came."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)

    def _follower(self, name: str) -> Follower:
        follower = self._followers.get(name)
        if follower is None or follower.outdated:
            self._followers.pop(name, None)
            follower = self._followers[name] = Follower(self._folder / name)
        return follower


class _Handler(BaseHTTPRequestHandler):
    server: LiveServer

    def do_GET(self) -> None:
        self._answer(is_post=False)

    def do_POST(self) -> None:
        self._answer(is_post=True)

    def log_message(self, *_: object) -> None:
        """Log nothing: the addresses have the token."""

    def _answer(self, *, is_post: bool) -> None:
        url = urlsplit(self.path)
        token, _, place = url.path.removeprefix("/").partition("/")
        if self.headers.get("Host", "").rpartition(":")[0] not in _HOSTS:
            self._send(HTTPStatus.FORBIDDEN, b"unknown host name", "text/plain")
        elif not hmac.compare_digest(token.encode(), self.server.token.encode()):
            self._send(HTTPStatus.FORBIDDEN, b"wrong token", "text/plain")
        elif not is_post and place in _FILES:
            path, kind = _FILES[place]
            self._send(HTTPStatus.OK, path.read_bytes(), kind)
        else:
            self._answer_json(place, parse_qs(url.query), is_post=is_post)

    def _answer_json(self, place: str, query: dict[str, list[str]], *, is_post: bool) -> None:
        status = HTTPStatus.OK
        try:
            with self.server.lock:
                found = self._look_up(place, query, is_post=is_post)
        except LookupError:
            status, found = HTTPStatus.NOT_FOUND, {"error": "there is no such page or run"}
        except (UserError, ValueError, OSError) as error:
            status, found = HTTPStatus.CONFLICT, {"error": str(error)}
        self._send(status, json.dumps(found).encode(), "application/json")

    def _look_up(self, place: str, query: dict[str, list[str]], *, is_post: bool) -> Any:
        if place == "runs" and not is_post:
            return self.server.runs()
        kind, _, quoted = place.partition("/")
        name = unquote(quoted)
        if name not in self.server.names():  # Which also keeps paths inside the folder.
            raise LookupError(name)
        trial = query["trial"][0] if "trial" in query else None
        if kind == "run" and not is_post:
            return self.server.news(name, int(query.get("since", ["0"])[0]), trial)
        if kind == "errors" and not is_post and trial is not None:
            return {"text": self.server.traceback(name, trial)}
        if kind in REQUESTS and is_post:
            self.server.ask(kind, name, trial)
            return {}
        raise LookupError(kind)

    def _send(self, status: HTTPStatus, body: bytes, kind: str) -> None:
        self.send_response(status)
        for header, value in _HEADERS.items():
            self.send_header(header, value)
        self.send_header("Content-Type", f"{kind}; charset=utf-8")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
