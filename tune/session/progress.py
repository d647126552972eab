"""Shows the progress of a sweep: a live table on a terminal, plain lines elsewhere."""

import time
from collections import Counter
from types import TracebackType
from typing import Self

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from fairsweep.terminal import plain_console
from tune.run.trial import FINISHED, Status, Trial
from tune.sweep.bundle import Fusing
from tune.sweep.sweep import Sweep

_REFRESH_SECONDS = 0.5
_ROWS = 16
"""Most running trials that the live table shows."""


class Progress:
    """Shows a sweep. `update` may be called often: it draws the table twice per second."""

    def __init__(self, sweep: Sweep, console: Console | None = None) -> None:
        self._sweep = sweep
        self._console = console or plain_console(stderr=True)
        self._live = Live(console=self._console, auto_refresh=False, transient=True)
        self._started = time.monotonic()
        self._drawn = 0.0
        self._printed = {trial.id for trial in sweep.trials.values() if trial.status in FINISHED}
        self._before = len(self._printed)
        self._fusings_printed = len(sweep.fusings)

    def __enter__(self) -> Self:
        if self._console.is_terminal:
            self._live.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.update(force=True)
        self._live.stop()

    def update(self, *, force: bool = False) -> None:
        """Print trials that have ended, and redraw the table if it is due."""
        now = time.monotonic()
        if not force and now - self._drawn < _REFRESH_SECONDS:
            return
        self._drawn = now
        for trial in self._sweep.trials.values():
            if trial.status in FINISHED and trial.id not in self._printed:
                self._printed.add(trial.id)
                self._console.print(self._line(trial), highlight=False, soft_wrap=True)
        for fusing in self._sweep.fusings[self._fusings_printed :]:
            self._fusings_printed += 1
            self.tell(explain(fusing, self._sweep.trials[fusing.trials[0]].name))
        if self._live.is_started:
            self._live.update(self._table(), refresh=True)

    def tell(self, words: str) -> None:
        """Print a line above the table."""
        self._console.print(words, highlight=False, soft_wrap=True)

    def _line(self, trial: Trial) -> Text:
        value = self._sweep.objective(trial)
        figure = "" if value is None else f"  {self._sweep.spec.objective.metric} {value:.4f}"
        count = len(trial.measurements)
        epochs = f"{count} epoch{'' if count == 1 else 's'} in {trial.seconds:.0f} s"
        reason = f"  ({trial.reason})" if trial.reason else ""
        number = f"[{len(self._printed)}/{self._sweep.expected}]"
        text = Text(f"{number} {trial.name} {trial.draw}  ")
        text.append(str(trial.status), style=_STYLES.get(trial.status, ""))
        return text.append(f"{figure}  {epochs}{reason}")

    def _table(self) -> Group:
        table = Table(box=None, pad_edge=False, header_style="dim")
        for heading in ("trial", "epoch", "now", "best", "pictures/s"):
            table.add_column(heading, justify="left" if heading == "trial" else "right")
        running = [t for t in self._sweep.trials.values() if t.status is Status.RUNNING]
        for trial in running[:_ROWS]:
            table.add_row(*self._row(trial))
        return Group(Text(self.headline()), table)

    def _row(self, trial: Trial) -> tuple[str, ...]:
        metric, last = self._sweep.spec.objective.metric, trial.last
        best = self._sweep.objective(trial)
        return (
            f"{trial.name} {trial.draw}",
            f"{len(trial.measurements)}/{trial.epochs}",
            f"{last.values[metric]:.4f}" if last else "–",
            f"{best:.4f}" if best is not None else "–",
            "–" if (speed := _pictures_per_second(trial)) is None else f"{speed:.0f}",
        )

    def headline(self) -> str:
        """Return the state of the sweep in one line."""
        sweep = self._sweep
        counts = Counter(trial.status for trial in sweep.trials.values())
        parts = [f"{count} {status.lower()}" for status, count in sorted(counts.items())]
        parts.append(f"of {sweep.expected}")
        if (best := sweep.incumbent) is not None:
            parts.append(f"best {sweep.objective(best):.4f} {best.name}")
        elapsed = time.monotonic() - self._started
        parts.append(f"{clock(elapsed)} elapsed")
        ended = len(self._printed) - self._before
        if ended:
            left = (sweep.expected - len(self._printed)) * elapsed / ended
            parts.append(f"about {clock(left)} left")
        if sweep.stopping:
            parts.append(f"stopping: {sweep.stopping}")
        return " · ".join(parts)


def _pictures_per_second(trial: Trial) -> float | None:
    return trial.last.values.get("images_per_second") if trial.last else None


def explain(fusing: Fusing, name: str) -> str:
    """Return whether trials of this name are fused, and why."""
    count = len(fusing.trials)
    if fusing.reason:
        return f"{count} trials of {name} are trained separately: {fusing.reason}"
    how = "fused" if fusing.fused else "trained separately"
    return f"{count} trials of {name} are {how}: fused training is {fusing.gain:.2f} times as fast"


_STYLES = {
    Status.COMPLETED: "green",
    Status.EARLY_STOPPED: "yellow",
    Status.DIVERGED: "red",
    Status.FAILED: "red",
    Status.INFEASIBLE: "red",
    Status.OVER_LIMIT: "yellow",
}


def clock(seconds: float) -> str:
    """Write seconds as hours, minutes and seconds."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
