"""A drain on real daemons, at six sites: nobody loses a route, and all comes back as it was."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

from controller.bgp import Prefix
from controller.cli.client import Client
from controller.cli.routes import herald
from labs.live import LiveLab
from labs.pytest_plugin import LabFactory
from labs.topology.generate import generate_six_sites

pytestmark = pytest.mark.lab

PREFIXES = [Prefix(f"100.64.{2 * i}.0/24") for i in range(4)]
LATER = Prefix("100.64.8.0/24")
SITE = "site2"


@pytest.fixture(scope="session")
def topology(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("drain") / "six-sites"
    generate_six_sites(folder)
    file = folder / "configs" / "addressing.json"
    addressing = json.loads(file.read_text())
    addressing["accounts"] = addressing["accounts"][:6]
    for account in addressing["accounts"]:
        account["prefixes"] = account["prefixes"][:1]
    file.write_text(json.dumps(addressing))
    return folder / "six-sites.clab.yml"


def operator(lab: LiveLab) -> Client:
    """Return another person than any other operator."""
    token = str(lab.client.create_token("operator")["token"])
    return Client.from_inventory(lab.inventory, token=token)


def drain(lab: LiveLab, ann: Client, bob: Client, strategy: str) -> str:
    body = {"site": SITE, "strategy": strategy, "reason": "new cards", "capacity_confirmed": True}
    asked = ann.write("POST", herald("drains"), body).result
    assert sorted(asked["goes"]) == sorted(PREFIXES) and asked["stays"] == [], asked
    bob.write("POST", f"{herald('drains', asked['id'])}/confirm")
    lab.wait_until(lambda: shown(ann, asked["id"])["state"] == "drained", within=30, what="the drain")
    return str(asked["id"])


def shown(client: Client, id_: str) -> dict[str, Any]:
    return dict(client.one(herald("drains", id_)))


def sent(lab: LiveLab) -> dict[str, set[Prefix]]:
    found: dict[str, set[Prefix]] = {site.router: set() for site in lab.inventory.sites}
    for row in lab.sent():
        found[row.node].add(row.prefix)
    return found


def paths_from(lab: LiveLab, prefix: Prefix) -> set[tuple[object, ...]]:
    """The paths that routers have from the site."""
    router = next(s.router for s in lab.inventory.sites if s.name == SITE)
    return {row.as_path for row in lab.ribs(prefix) if row.from_ == router}


def test_a_site_goes_out_of_use_and_comes_back_and_nobody_loses_a_route(
    herald_lab: LabFactory, topology: Path
) -> None:
    lab = herald_lab(topology)
    for prefix in PREFIXES:
        lab.announce(prefix)
        lab.wait_for_route(prefix)
    ann, bob = operator(lab), operator(lab)
    router = next(s.router for s in lab.inventory.sites if s.name == SITE)
    lab.wait_until(lambda: all(paths_from(lab, p) for p in PREFIXES), what="all routes from the site")
    everywhere = sent(lab)
    chunks = {row["site"]: row["status"]["accounts"] for row in lab.client.sites()}
    since = lab.mark()
    with lab.never_lost("v1", PREFIXES[0]), lab.never_lost("v2", PREFIXES[-1]):
        drain(lab, ann, bob, "prepend")
        lab.wait_until(
            lambda: paths_from(lab, PREFIXES[0]) == {(64500,) * 4}, what="the longer path from the site"
        )
        id_ = drain(lab, ann, bob, "withdraw")
        lab.wait_until(lambda: not any(paths_from(lab, p) for p in PREFIXES), what="the site's routes to go")
        assert sent(lab) == {**everywhere, router: set()}
        assert {row["site"]: row["status"]["accounts"] for row in lab.client.sites()} == chunks

        # Meanwhile: a restart of everything at the site, of the controller, and a customer's toggle.
        lab.running.restart(f"agent:{SITE}")
        lab.running.signal("serve", signal.SIGKILL)
        lab.running.restart("serve")
        lab.announce(LATER, within=60)
        lab.wait_for_route(LATER)
        assert sent(lab) == {
            name: set() if name == router else {*prefixes, LATER} for name, prefixes in everywhere.items()
        }
        assert shown(ann, id_)["state"] == "drained"

        ann.write("POST", f"{herald('drains', id_)}/lift", {"reason": "they work"})
        lab.wait_until(
            lambda: all(paths_from(lab, p) == {(64500,)} for p in (*PREFIXES, LATER)), what="all to be back"
        )
    assert sent(lab) == {name: {*prefixes, LATER} for name, prefixes in everywhere.items()}
    routers = {s.router for s in lab.inventory.sites} - {router}
    gone = [e for e in lab.updates(since=since) if e.sender in routers and set(e.withdrawn) & set(PREFIXES)]
    assert gone == [], "no other site has withdrawn anything"
