"""Which agent is to be told of which drain next (pure).

Level-triggered: what agents say that they know of is compared with the drains that stand. The drained site is
told last, so that the keepers of its prefixes are drawn anew among the others before anything goes; and it is
the first to hear that the drain is over. A site that is away holds up nobody: it is told when it is back. A
drain that this store knows nothing of is left alone: somebody who knows more began it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

from controller.safety.drain import Standing


@dataclass(frozen=True, slots=True)
class Tell:
    """Tell the agent of ``site`` that the drain ``id`` begins, or that it is over."""

    site: str
    id: str
    lift: bool = False


def next_tellings(
    standing: Mapping[str, Standing], lifted: Collection[str], known_at: Mapping[str, Mapping[str, str]]
) -> list[Tell]:
    """Return whom to tell what now.

    ``standing``: by the site that is drained; ``known_at``: for each site that answers, the drains that its
    agent knows of, by site.
    """
    found: list[Tell] = []
    for drained, drain in sorted(standing.items()):
        lacking = [s for s in sorted(known_at) if known_at[s].get(drained) != drain.id]
        others = [s for s in lacking if s != drained]
        found += [Tell(s, drain.id) for s in (others or lacking)]
    for site, known in sorted(known_at.items()):
        for drained, id_ in sorted(known.items()):
            over = drained not in standing and id_ in lifted
            if over and (site == drained or known_at.get(drained, {}).get(drained) != id_):
                found.append(Tell(site, id_, lift=True))
    return found
