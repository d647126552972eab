"""Tells a person when a sweep ends, fails or finds a better configuration: `notify` in a spec.

A message is one JSON object. It is posted to a URL, or a command gets it on its standard input.
Another thread sends it, so that nothing delays or breaks the sweep; a failure is a line on stderr.
"""

import json
import os
import queue
import subprocess
import sys
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fairsweep.errors import UserError, one_line
from tune.session.progress import clock
from tune.sweep.spec import SweepSpec
from tune.sweep.spec_parts import NotifySpec, SpecError
from tune.sweep.sweep import Sweep

BEST_SECONDS = 600.0
"""Least time between two messages about a better configuration."""
_SEND_SECONDS = 10.0
"""How long one message may take."""
_CLOSE_SECONDS = 12.0
"""How long the end of a session waits for messages that are being sent."""

Message = Mapping[str, Any]


def require_notify(spec: SweepSpec) -> None:
    """Check that the environment variable that the spec names holds a URL or a command.

    Raises:
        SpecError: It does not.
    """
    if spec.notify is None:
        return
    name, is_url = spec.notify.variable, spec.notify.url is not None
    value, what = os.environ.get(name, ""), "an http(s) URL" if is_url else "a command"
    if not value or (is_url and not value.startswith(("http://", "https://"))):
        raise SpecError(
            f"notify names the environment variable {name}, which does not hold {what}; set it "
            f"with `export {name}=…`, or leave notify out"
        )


class Notifier:
    """Sends messages about a sweep. `update` is cheap if nothing is new."""

    def __init__(
        self, run: Path, sweep: Sweep, *, now: Callable[[], float] = time.monotonic
    ) -> None:
        self._run = run
        self._sweep = sweep
        self._now = now
        self._told = self._best()
        self._next_best = now()
        self._started = now()
        self._messages: queue.SimpleQueue[Message | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        if sweep.spec.notify is not None:
            self._thread = threading.Thread(
                target=_send_all, args=(sweep.spec.notify, self._messages), daemon=True
            )
            self._thread.start()

    def update(self) -> None:
        """Send a message if there is a better configuration and the last message is old enough."""
        if self._thread is None or self._now() < self._next_best:
            return
        best = self._best()
        if best is not None and best != self._told:
            self._told = best
            self._next_best = self._now() + BEST_SECONDS
            self._send("best", f"new best: {self._best_words()}")

    def end(self) -> None:
        """Send a message that the session has ended, as finished or stopped."""
        if self._sweep.finished:
            self._send("finished", f"finished; {self._best_words()}")
        else:
            self._send("stopped", f"{self._sweep.stopping or 'stopped'}; {self._best_words()}")

    def failed(self, error: BaseException) -> None:
        """Send a message that the session has failed."""
        words = one_line(error)
        self._send("failed", f"failed: {words}; {self._best_words()}")

    def close(self) -> None:
        """Wait until all messages are sent, for a few seconds at most."""
        if self._thread is not None:
            self._messages.put(None)
            self._thread.join(_CLOSE_SECONDS)

    def _send(self, event: str, words: str) -> None:
        if self._thread is None:
            return
        best = self._sweep.incumbent
        counts = Counter(str(trial.status) for trial in self._sweep.trials.values())
        self._messages.put(
            {
                "text": f"{self._run.name}: {words}",
                "event": event,
                "run": self._run.name,
                "trials": dict(sorted(counts.items())),
                "metric": self._sweep.spec.objective.metric,
                "best": None if best is None else self._sweep.objective(best),
                "best_trial": None if best is None else best.name,
                "seconds": round(self._now() - self._started, 1),
            }
        )

    def _best(self) -> tuple[str, float] | None:
        best = self._sweep.incumbent
        value = None if best is None else self._sweep.objective(best)
        return None if best is None or value is None else (best.id, value)

    def _best_words(self) -> str:
        best, elapsed = self._sweep.incumbent, clock(self._now() - self._started)
        if best is None or (value := self._sweep.objective(best)) is None:
            return f"no result yet; {elapsed}"
        return f"{self._sweep.spec.objective.metric} {value:.4f} by {best.name}; {elapsed}"


def _send_all(to: NotifySpec, messages: "queue.SimpleQueue[Message | None]") -> None:
    send = _run if to.url is None else _post
    while (message := messages.get()) is not None:
        try:
            send(_value(to), json.dumps(message).encode())
        except Exception as error:  # Whatever goes wrong here must not end the sweep.
            told = one_line(error)
            print(f"notify: a message was not sent to ${to.variable}: {told}", file=sys.stderr)


def _value(to: NotifySpec) -> str:
    if not (value := os.environ.get(to.variable, "")):
        raise UserError("the environment variable is not set")
    return value


def _run(command: str, content: bytes) -> None:
    done = subprocess.run(
        command, shell=True, input=content, capture_output=True, timeout=_SEND_SECONDS, check=False
    )
    if done.returncode != 0:
        said = done.stderr.decode(errors="replace")
        raise UserError(f"exit code {done.returncode}: {said}")


def _post(url: str, content: bytes) -> None:
    headers = {"Content-Type": "application/json", "User-Agent": "fairsweep"}
    request = urllib.request.Request(url, data=content, headers=headers)
    with urllib.request.urlopen(request, timeout=_SEND_SECONDS):
        pass
