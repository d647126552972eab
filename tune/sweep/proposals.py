"""Proposes trials: the searcher's points, and further replicates of the finalists."""

from collections.abc import Iterator

from tune.run.events import FinalistsChosen, ProposalSkipped, SpaceExhausted, TrialProposed
from tune.run.trial import Phase
from tune.sweep.clock import Clock
from tune.sweep.configuration import Configuration
from tune.sweep.first import BEFORE_SEARCH, first_points
from tune.sweep.space import Point
from tune.sweep.state import SweepState


class Proposals:
    """Yields the events that add trials to a sweep; the caller applies each before the next."""

    def __init__(self, state: SweepState, *, fingerprint: str, clock: Clock) -> None:
        self._state = state
        self._fingerprint = fingerprint
        self._clock = clock

    def of_search(self) -> Iterator[TrialProposed | ProposalSkipped | SpaceExhausted]:
        """Yield the events up to the next new trial of the search, or the end of the space.

        The configurations of ``first`` in the spec come before those of the searcher.
        """
        state = self._state
        for wanted in first_points(state.search.space, state.spec.first):
            config = state.spec.config(state.search.space.at(wanted), seed=state.spec.seed)
            if config.trial_id(self._fingerprint) not in state.trials:
                yield self._trial(config, "search", 0, proposal=BEFORE_SEARCH, point=wanted)
                return
        while True:
            point = state.search.propose()
            if point is None:
                yield SpaceExhausted(time=self._clock.now())
                return
            config = state.spec.config(state.search.space.at(point), seed=state.spec.seed)
            trial, proposal = config.trial_id(self._fingerprint), state.search.proposals
            if trial not in state.trials:
                yield self._trial(config, "search", 0, proposal=proposal, point=point)
                return
            yield ProposalSkipped(
                time=self._clock.now(), proposal=proposal, trial=trial, point=point
            )

    def of_finalists(self) -> Iterator[FinalistsChosen | TrialProposed]:
        """Yield the choice of finalists and their further replicates, after the search is over.

        Without a scheduler, every completed trial is a finalist, so its replicates do not wait for
        the rest of the search.
        """
        state = self._state
        if state.searching and not state.has_new_finalists:
            return
        chosen, known = state.choose_finalists(), state.finalists or []
        if set(chosen) - set(known) or (state.finalists is None and not state.searching):
            yield FinalistsChosen(time=self._clock.now(), trials=tuple(chosen))
        for replicate, first in state.replicates_left():
            config = state.spec.config(first.config, seed=state.spec.seed + replicate)
            yield self._trial(config, "finalist", replicate)

    def _trial(
        self,
        config: Configuration,
        phase: Phase,
        replicate: int,
        *,
        proposal: int | None = None,
        point: Point | None = None,
    ) -> TrialProposed:
        return TrialProposed(
            time=self._clock.now(),
            trial=config.trial_id(self._fingerprint),
            configuration_id=config.configuration_id,
            number=len(self._state.trials),
            name=self._state.spec.name_of(config),
            phase=phase,
            replicate=replicate,
            config=config.to_dict(),
            epochs=config.epochs,
            proposal=proposal,
            point=point,
        )
