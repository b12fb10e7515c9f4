"""Tells operators and accounts of routes whose announce quorum is lost (SAFETY.md, 7).

They stay (``degraded``), or, where policy allows it, the site has withdrawn them for that (``unserved``).
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Literal

from sqlalchemy.orm import Session

from controller.bgp import Prefix, prefix_key
from controller.guard.telling import OPERATORS, News, tell_each

SHOWN = 20
"""Prefixes that one entry names at most."""


Trouble = Literal["degraded", "unserved"]

SAYS: Mapping[Trouble, str] = {
    "degraded": "stay announced at {site} though too few of its machines serve them",
    "unserved": "are withdrawn at {site}, whose machines all report their bindings absent",
}


def tell_trouble(
    session: Session, site: str, trouble: Trouble, whose: Mapping[Prefix, str], *, now: datetime
) -> None:
    """Put an entry about ``whose`` prefixes into each account's timeline, and one into the operators'."""
    accounts: dict[str, list[Prefix]] = {OPERATORS: sorted(whose, key=prefix_key)}
    for prefix in accounts[OPERATORS]:
        accounts.setdefault(whose[prefix], []).append(prefix)
    said: dict[str, News] = {}
    for account_id, prefixes in accounts.items():
        shown = ", ".join(prefixes[:SHOWN]) + ("" if len(prefixes) <= SHOWN else ", …")
        remedy = f"; look at its machines: herald site show --site {site}" if account_id == OPERATORS else ""
        said[account_id] = News(
            f"site.{trouble}",
            "site",
            site,
            f"{len(prefixes)} routes {SAYS[trouble].format(site=site)}: {shown}{remedy}",
            site=site,
            detail={"prefixes": prefixes[:SHOWN], "count": len(prefixes)},
        )
    tell_each(session, said, now)
