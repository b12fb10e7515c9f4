"""A migration on real daemons: its step waits until others announce the prefix, then goes on by itself."""

from __future__ import annotations

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from controller.bgp import parse_prefix
from controller.cli.routes import herald
from labs.pytest_plugin import LabFactory
from tests.labs.faults import PREFIX, SPEAKERS, TOPOLOGY

pytestmark = pytest.mark.lab


def test_a_step_waits_until_others_announce_the_prefix_and_goes_on_by_itself(
    herald_lab: LabFactory,
) -> None:
    lab = herald_lab(TOPOLOGY, **SPEAKERS["exabgp"])
    lab.spoiled = True  # its prefix is somebody else's, too, from here on
    lab.announce(PREFIX)
    lab.wait_for_route(PREFIX)
    account = lab.client.whose(parse_prefix(PREFIX)).account_id
    owner, path = lab.as_owner(account), herald("accounts", account, "migrations")
    now = datetime.now(UTC)
    plan = {
        "cidrs": [PREFIX],
        "expected_count": 1,
        "reason": "moving",
        "not_before": (now - timedelta(minutes=1)).isoformat(),
        "not_after": (now + timedelta(hours=1)).isoformat(),
    }
    made = owner.write("POST", path, plan).result
    owner.write("POST", f"{path}/{made['id']}/confirm", {"confirmation": made["confirmation"]})
    step = owner.write("POST", f"{path}/{made['id']}/withdraw", {"cidrs": [PREFIX]}).change_sets[0]
    waits = lab.client.wait_change_set(step, 20)
    assert waits.state == "held" and "not seen elsewhere at the same length" in waits.reason

    own = (Path(lab.inventory.topology).parent / "configs" / "t-bird" / "bird.conf").read_text()
    with tempfile.TemporaryDirectory() as folder, lab.never_lost("vantage", PREFIX):
        Path(folder).chmod(0o755)
        config = Path(folder, "moved.conf")
        config.write_text(own + f"\nprotocol static moved {{ ipv4; route {PREFIX} blackhole; }}\n")
        lab.node("t-bird").run("birdc", "configure", f'"{config}"')
        lab.wait_until(
            lambda: lab.client.change_set(step).state in ("rolling", "done"),
            within=60,
            what="the step to go on, since others announce the prefix",
        )
