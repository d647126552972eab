"""Shares a GPU's memory among the trials on it: small ones side by side, big ones one at a time."""

import asyncio
from dataclasses import dataclass

ALONE = -1
"""Asks a gate for the whole card."""


class OutOfMemoryError(Exception):
    """A trial needs more memory than there was; the message gives the figures."""


@dataclass(frozen=True, kw_only=True)
class MemoryRequest:
    """What a trial asks of the card that it is about to run on."""

    card: str
    """Name of the GPU, unlike any other of the cluster."""
    card_bytes: int
    kind: str
    """What it shares with all that take the same: its configuration, and how many are one."""
    estimate: int
    """What it will take, in bytes, where its kind was not measured yet."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Ticket:
    trial_id: str
    need: int


class Gate:
    """Admits trials to one card in the order in which they come, as long as their memory fits.

    A trial that would not fit beside anyone is admitted alone, to find out. What its kind was
    measured to take is remembered and used from then on.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._queue: list[_Ticket] = []
        self._inside: list[_Ticket] = []
        self._measured: dict[str, int] = {}
        self._changed = asyncio.Condition()

    async def enter(self, trial_id: str, kind: str, estimate: int) -> float:
        """Return what share of the card it has, when the trial may use it.

        Args:
            trial_id: The trial.
            kind: As `MemoryRequest.kind`.
            estimate: In bytes, or `ALONE`.
        """
        await self.leave(trial_id)  # Whatever an attempt that died held or waited for.
        need = self._measured.get(kind, estimate)
        need = self._capacity if estimate == ALONE else min(need, self._capacity)
        ticket = _Ticket(trial_id=trial_id, need=need)
        self._queue.append(ticket)
        async with self._changed:
            await self._changed.wait_for(lambda: self._next_or_gone(ticket))
            if ticket in self._queue:
                self._queue.remove(ticket)
                self._inside.append(ticket)
                self._changed.notify_all()
        return need / self._capacity

    def waits(self, trial_id: str) -> bool:
        """Return whether the trial waits to be admitted."""
        return any(ticket.trial_id == trial_id for ticket in self._queue)

    def _next_or_gone(self, ticket: _Ticket) -> bool:
        fits = sum(one.need for one in self._inside) + ticket.need <= self._capacity
        return ticket not in self._queue or (self._queue[0] is ticket and fits)

    async def leave(self, trial_id: str, kind: str = "", peak: int = 0) -> None:
        """Give back what the trial holds, and remember what it was measured to take, in bytes."""
        if peak:
            self._measured[kind] = max(peak, self._measured.get(kind, 0))
        async with self._changed:
            self._queue = [one for one in self._queue if one.trial_id != trial_id]
            self._inside = [one for one in self._inside if one.trial_id != trial_id]
            self._changed.notify_all()


class Gates:
    """A gate for each card of the cluster."""

    def __init__(self) -> None:
        self._gates: dict[str, Gate] = {}

    async def enter(self, trial_id: str, request: MemoryRequest, *, alone: bool) -> float:
        """Return what share of the card it has, when the trial may use the one that it asks for."""
        gate = self._gates.setdefault(request.card, Gate(request.card_bytes))
        return await gate.enter(trial_id, request.kind, ALONE if alone else request.estimate)

    async def waits(self, trial_id: str) -> bool:
        """Return whether the trial waits for a card's memory."""
        return any(gate.waits(trial_id) for gate in self._gates.values())

    async def leave(self, trial_id: str, kind: str = "", peak: int = 0) -> None:
        """Give back what the trial holds of any card; see `Gate.leave`."""
        for gate in self._gates.values():
            await gate.leave(trial_id, kind, peak)
