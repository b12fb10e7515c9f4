"""``--report DIR``: one HTML page that needs nothing else, and the same picture as PNG."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from pathlib import Path

from controller.bgp import path_text
from controller.observe.event import Event
from controller.observe.inventory import Inventory
from labs.hunting.analysis import Hunt, Peer, time_zero, updates_of
from labs.hunting.series import Series, series

HTML_NAME, PNG_NAME = "hunt.html", "hunt.png"
_MOST_PATHS = 40

_PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<title>Hunt for {prefix}</title>
<style>
body {{ font: 15px/1.55 system-ui, "DejaVu Sans", sans-serif; color: #1c2733; max-width: 1180px;
  margin: 2.2rem auto; padding: 0 1.2rem; }}
h1 {{ font-size: 1.7rem; margin: 0 0 .2rem }} h2 {{ font-size: 1.1rem; margin: 2.2rem 0 .6rem }}
p.lead {{ color: #6b7a89; margin: 0 0 1.4rem }} img {{ width: 100%; height: auto }}
dl {{ display: flex; flex-wrap: wrap; gap: .8rem; margin: 0 0 1.6rem }}
dl div {{ background: #f4f6f8; border-radius: 8px; padding: .6rem .9rem; min-width: 7.2rem }}
dt {{ color: #6b7a89; font-size: .8rem }} dd {{ margin: 0; font-size: 1.25rem; font-weight: 650 }}
table {{ border-collapse: collapse; width: 100% }}
th, td {{ text-align: left; padding: .35rem .7rem; border-bottom: 1px solid #e3e8ed; vertical-align: top }}
th {{ color: #6b7a89; font-weight: 500; font-size: .85rem }}
td.n, th.n {{ text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap }}
code {{ font: .82rem/1.5 ui-monospace, "DejaVu Sans Mono", monospace }}
.warn {{ background: #fdeee4; border-left: 4px solid #e0783c; padding: .6rem .9rem }}
</style></head><body>
<h1>Hunting for {prefix}</h1>
<p class="lead">Withdrawn at {at} (strategy: {strategy}). Times are since the origin's first UPDATE.</p>
{warning}<dl>{figures}</dl>
<img alt="Staircases, graph, UPDATEs per bin and visible routers" src="data:image/png;base64,{picture}">
<h2>Router by router</h2>
<table><thead><tr><th>router</th><th class="n">UPDATEs</th><th class="n">first</th><th class="n">last</th>
<th>paths announced, in order (as on the wire)</th></tr></thead><tbody>
{peers}
</tbody></table>
<h2>How it was measured</h2>
<p>Every UPDATE is counted once, as it left its sender, with the kernel's timestamp; paths are as on the wire,
the sender's own AS included. <em>Last UPDATE</em>, <em>last RIB change</em> and <em>last lost probe</em> are
three different ends of one event. All UPDATEs counted here are in <code>{mrt}</code> (MRT, RFC 6396).</p>
</body></html>
"""


def write_report(
    folder: Path, hunt: Hunt, inventory: Inventory, before: Sequence[Event], events: Sequence[Event]
) -> Path:
    """Write the page and the picture of ``hunt`` into ``folder`` (made if absent); return the page's path.

    ``before``: events until the trigger; ``events``: those after it.
    """
    from labs.hunting.pictures import overview  # noqa: PLC0415 (matplotlib is slow to import)

    t0 = time_zero(events, hunt.prefix, {site.router for site in inventory.sites})
    shown = series(inventory, hunt.prefix, before, updates_of(events, hunt.prefix, t0), t0)
    folder.mkdir(parents=True, exist_ok=True)
    picture = folder / PNG_NAME
    overview(hunt, shown).savefig(picture, dpi=120)
    page = folder / HTML_NAME
    page.write_text(_page(hunt, shown, picture.read_bytes()), encoding="utf-8")
    return page


def _page(hunt: Hunt, shown: Series, picture: bytes) -> str:
    warning = ""
    if hunt.drops:
        warning = f'<p class="warn">The capture missed {hunt.drops} packets: the counts are too low.</p>'
    return _PAGE.format(
        prefix=html.escape(hunt.prefix),
        at=html.escape(hunt.withdrawn_at),
        strategy=html.escape(hunt.strategy),
        warning=warning,
        figures="".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in _figures(hunt)),
        picture=base64.b64encode(picture).decode(),
        peers="\n".join(_row(peer) for peer in hunt.peers),
        mrt=html.escape(Path(hunt.mrt).name),
    )


def _figures(hunt: Hunt) -> list[tuple[str, str]]:
    return [
        ("routers", str(hunt.routers)),
        ("UPDATEs", f"{hunt.updates:,}"),
        ("withdrawals", f"{hunt.withdrawals:,}"),
        ("paths tried", str(hunt.paths_explored)),
        ("longest path", f"{hunt.longest_path} ASes"),
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
