"""Admits trials to a GPU's memory: small ones together, large ones one at a time."""

import asyncio
from dataclasses import dataclass

WHOLE_CARD = -1
"""Estimate that requests the whole card from a gate."""


class OutOfMemoryError(Exception):
    """A trial needs more memory than is available; the message gives the figures."""


@dataclass(frozen=True, kw_only=True)
class MemoryRequest:
    """A trial's request for memory of the card that it is about to run on."""

    card: str
    """Id of the GPU, unique in the cluster."""
    card_bytes: int
    kind: str
    """Configuration and number of fused trials; bundles of one kind need the same memory."""
    estimate: int
    """Estimated need in bytes, used until the kind has been measured."""


@dataclass(frozen=True, kw_only=True, eq=False)
class _Ticket:
    trial_id: str
    need: int


class Gate:
    """Admits trials to one card in the order of their requests, while their memory fits.

    A trial that needs more than the card has is admitted when the card is empty, because the
    estimate may be wrong. Measured peaks replace the estimates of their kind.
    """

    def __init__(self, capacity: int) -> None:
        self._capacity = capacity
        self._queue: list[_Ticket] = []
        self._inside: list[_Ticket] = []
        self._measured: dict[str, int] = {}
        self._changed = asyncio.Condition()

    async def enter(self, trial_id: str, kind: str, estimate: int) -> float:
        """Wait until the trial is admitted, and return its share of the card's memory.

        Args:
            trial_id: The trial.
            kind: As `MemoryRequest.kind`.
            estimate: In bytes, or `WHOLE_CARD`.
        """
        await self.leave(trial_id)  # Release what an attempt that died held or waited for.
        need = self._measured.get(kind, estimate)
        need = self._capacity if estimate == WHOLE_CARD else min(need, self._capacity)
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
        """Return whether the trial is waiting for admission."""
        return any(ticket.trial_id == trial_id for ticket in self._queue)

    def _next_or_gone(self, ticket: _Ticket) -> bool:
        fits = sum(inside.need for inside in self._inside) + ticket.need <= self._capacity
        return ticket not in self._queue or (self._queue[0] is ticket and fits)

    async def leave(self, trial_id: str, kind: str = "", peak: int = 0) -> None:
        """Release the trial's memory, and remember its measured peak in bytes, if it is not 0."""
        if peak:
            self._measured[kind] = max(peak, self._measured.get(kind, 0))
        async with self._changed:
            self._queue = [ticket for ticket in self._queue if ticket.trial_id != trial_id]
            self._inside = [ticket for ticket in self._inside if ticket.trial_id != trial_id]
            self._changed.notify_all()


class Gates:
    """A gate for each card of the cluster."""

    def __init__(self) -> None:
        self._gates: dict[str, Gate] = {}

    async def enter(self, trial_id: str, request: MemoryRequest, *, exclusive: bool) -> float:
        """Wait until the trial is admitted to its card; return its share of the card's memory."""
        gate = self._gates.setdefault(request.card, Gate(request.card_bytes))
        return await gate.enter(
            trial_id, request.kind, WHOLE_CARD if exclusive else request.estimate
        )

    async def waits(self, trial_id: str) -> bool:
        """Return whether the trial is waiting for memory of any card."""
        return any(gate.waits(trial_id) for gate in self._gates.values())

    async def leave(self, trial_id: str, kind: str = "", peak: int = 0) -> None:
        """Release the trial's memory on all cards; see `Gate.leave`."""
        for gate in self._gates.values():
            await gate.leave(trial_id, kind, peak)
