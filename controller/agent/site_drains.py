"""Begins and lifts drains at this site, and says what is off by its own."""

from __future__ import annotations

import structlog

from controller.agent.clock import reading, wall_clock
from controller.agent.config import AgentConfig
from controller.agent.drains import Place, accept, sites_of, taken_off, with_drain
from controller.agent.envelope import owners_of
from controller.agent.errors import JournalError
from controller.agent.journal import Journal
from controller.agent.journal_records import Drained, Undrained
from controller.agent.key_file import KeyFile
from controller.agent.policy import AgentPolicy
from controller.agent.site_state import Projections
from controller.agent.speaker_link import SpeakerLink
from controller.bgp import Prefix
from controller.safety.drain import VERBS, DrainRefusedError
from controller.snapshots.projection import SiteState
from controller.transport.messages import DrainOrder, HeldEffect, Outcome, Receipt

log = structlog.get_logger()


class SiteDrains:
    """One site's. ``off``: the prefixes that its own drain took off, by the newest :meth:`lay_over`."""

    def __init__(
        self, journal: Journal, config: AgentConfig, keys: KeyFile, projections: Projections
    ) -> None:
        self._journal = journal
        self._config = config
        self._keys = keys
        self._projections = projections
        self.off: frozenset[Prefix] = frozenset()

    def order(self, order: DrainOrder, policy: AgentPolicy, speaker: SpeakerLink, busy: str) -> Receipt:
        """Begin or lift a drain; ``accepted`` once that is on disk. ``busy``: why nothing may go now."""
        state = self._journal.state
        if order.site != state.site:
            return self._answer("refused", f"this is site {state.site}, not {order.site}")
        if order.fence < state.fence:
            return self._answer("stale", f"fence {order.fence} is below {state.fence}")
        try:
            record = self._lifted(order) if order.lift else self._begun(order.begin, policy, speaker, busy)
            if record is None:
                return self._answer("duplicate")
            self._journal.append(record)
        except (DrainRefusedError, JournalError) as error:
            log.warning("drain refused", reason=str(error))
            return self._answer("refused", str(error))
        log.warning("drain", begins=not order.lift, id=record.id)
        return self._answer("accepted")

    def lay_over(self, state: SiteState, policy: AgentPolicy, speaker: SpeakerLink) -> SiteState:
        """Return what the site is to have with its own drain laid over it."""
        journal = self._journal.state
        self.off = frozenset()
        drain = journal.drains.get(journal.site)
        if drain is None:
            return state
        taken = taken_off(
            journal,
            sites_of(self._projections.chunks(journal), journal.site),
            announced={*(speaker.announced or ()), *speaker.in_flight},
            fleet=self._config.fleet,
            least=policy.keepers,
        )
        self.off = taken.intersection(r.prefix for r in state.routes)
        return with_drain(state, drain, self.off)

    def kept(self) -> tuple[HeldEffect, ...]:
        """Return what the site's drain was to take off, and this agent did not let go."""
        state = self._journal.state
        drain = state.drains.get(state.site)
        if drain is None:
            return ()
        owners = owners_of(self._projections.chunks(state).values())
        return tuple(
            HeldEffect(owners[cidr], cidr, VERBS[drain.strategy], check, reason)
            for cidr, check, reason in drain.kept
            if cidr in owners
        )

    def _lifted(self, order: DrainOrder) -> Undrained | None:
        there = any(d.id == order.lift for d in self._journal.state.drains.values())
        return Undrained(order.lift, order.fence) if there else None

    def _begun(self, text: str, policy: AgentPolicy, speaker: SpeakerLink, busy: str) -> Drained | None:
        state = self._journal.state
        place = Place(
            state=state,
            policy=policy,
            fleet=self._config.fleet,
            sites=sites_of(self._projections.chunks(state), state.site),
            reach=speaker.reach,
            busy=busy,
            keys=self._keys.keys().intents,
            wall=wall_clock(),
            now=reading(),
        )
        return accept(text, place)

    def _answer(self, outcome: Outcome, reason: str = "") -> Receipt:
        return Receipt(self._journal.state.site, self._journal.state.generation, outcome, reason)
