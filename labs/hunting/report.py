"""``--report DIR``: one HTML page that needs nothing else, its picture as PNG, and the hunt for BGPlay."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path

import msgspec

from controller.bgp import path_text
from controller.observe.event import Event
from controller.observe.inventory import Inventory
from labs.hunting.analysis import Hunt, Peer, time_zero, updates_of
from labs.hunting.bgplay import bgplay
from labs.hunting.replay import Replay, replay
from labs.hunting.series import series

HTML_NAME, PNG_NAME, BGPLAY_NAME = "hunt.html", "hunt.png", "hunt.bgplay.json"
_MOST_PATHS = 40


def write_report(
    folder: Path, hunt: Hunt, inventory: Inventory, before: Sequence[Event], events: Sequence[Event]
) -> Path:
    """Write the page, the picture and BGPlay's JSON of ``hunt`` into ``folder``; return the page's path.

    The folder is made if there is none. ``before``: events until the trigger; ``events``: those after it.
    """
    from labs.hunting.pictures import overview  # noqa: PLC0415 (matplotlib is slow to import)

    origins = {site.router for site in inventory.sites}
    t0 = time_zero(events, hunt.prefix, origins)
    updates = updates_of(events, hunt.prefix, t0)
    shown = series(inventory, hunt.prefix, before, updates, t0)
    folder.mkdir(parents=True, exist_ok=True)
    picture = folder / PNG_NAME
    overview(hunt, shown).savefig(picture, dpi=120)
    page = folder / HTML_NAME
    found = bgplay(before, updates, prefix=hunt.prefix, origins=origins, t0_ns=t0)
    (folder / BGPLAY_NAME).write_bytes(msgspec.json.encode(found))
    played = replay(inventory, hunt, shown, before=before, updates=updates, t0_ns=t0)
    page.write_text(_page(hunt, played, picture.read_bytes()), encoding="utf-8")
    return page


def _page(hunt: Hunt, played: Replay, picture: bytes) -> str:
    warning = ""
    if hunt.drops:
        warning = f'<p class="warn">The capture missed {hunt.drops} packets: the counts are too low.</p>'
    parts = {
        "prefix": html.escape(hunt.prefix),
        "at": html.escape(hunt.withdrawn_at),
        "strategy": html.escape(hunt.strategy),
        "warning": warning,
        "figures": "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in _figures(hunt)),
        "picture": base64.b64encode(picture).decode(),
        "peers": "\n".join(_row(peer) for peer in hunt.peers),
        "mrt": html.escape(Path(hunt.mrt).name),
        # In a script element nothing is escaped: no text of ours may end it.
        "replay": msgspec.json.encode(played).decode().replace("<", "\\u003c"),
    }
    page = files("labs.hunting").joinpath("report.html").read_text(encoding="utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], page)


def _figures(hunt: Hunt) -> list[tuple[str, str]]:
    return [
        ("routers", str(hunt.routers)),
        ("UPDATEs", f"{hunt.updates:,}"),
        ("withdrawals", f"{hunt.withdrawals:,}"),
        ("paths tried", str(hunt.paths_explored)),
        ("longest path", f"{hunt.longest_path} ASes"),
        ("already invalid", "–" if hunt.invalid is None else f"{hunt.invalid:,}"),
        ("loops", "–" if hunt.loops is None else f"{len(hunt.loops):,}"),
        ("last UPDATE", _ms(hunt.t_wire)),
        ("last RIB change", _ms(hunt.t_rib)),
        ("last lost probe", _ms(hunt.t_data)),
    ]


def _row(peer: Peer) -> str:
    paths = [f"<code>{html.escape(path_text(path))}</code>" for path in peer.paths[:_MOST_PATHS]]
    if len(peer.paths) > _MOST_PATHS:
        paths.append(f"and {len(peer.paths) - _MOST_PATHS} more")
    return (
        f'<tr><td>{html.escape(peer.node)}</td><td class="n">{peer.updates}</td>'
        f'<td class="n">{_ms(peer.first_s)}</td><td class="n">{_ms(peer.last_s)}</td>'
        f"<td>{'<br>'.join(paths) or '–'}</td></tr>"
    )


def _ms(seconds: float | None) -> str:
    return "–" if seconds is None else f"{seconds * 1000:.1f} ms"
