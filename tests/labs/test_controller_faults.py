"""A controller dies, or finds its database damaged: nothing is lost or taken away (SAFETY.md, I4, I5)."""

from __future__ import annotations

import signal

import pytest

from controller.errors import HeraldError
from labs.pytest_plugin import LabFactory
from tests.labs.faults import PREFIX, TOPOLOGY, announced, sent_by_us

pytestmark = pytest.mark.lab


def test_a_controller_killed_at_once_after_its_answer_still_delivers(herald_lab: LabFactory) -> None:
    lab = herald_lab(TOPOLOGY)
    lab.ask(PREFIX, advertised=True)
    lab.running.signal("serve", signal.SIGKILL)
    lab.running.restart("serve")
    lab.wait_for_route(PREFIX)


def test_a_damaged_database_is_said_and_takes_nothing_away(herald_lab: LabFactory) -> None:
    lab = herald_lab(TOPOLOGY)
    announced(lab)
    mark = lab.mark()
    lab.running.signal("serve", signal.SIGKILL)
    database = lab.state_folder("serve") / "herald.db"
    good = {file: file.read_bytes() for file in database.parent.glob("herald.db*")}
    for file in good:
        file.unlink()
    database.write_bytes(b"not a database at all" * 500)
    with pytest.raises(HeraldError, match=r"herald\.db"):
        lab.running.restart("serve")
    assert sent_by_us(lab, mark) == []
    assert database.read_bytes() == b"not a database at all" * 500
    for file, data in good.items():
        file.write_bytes(data)
    lab.running.restart("serve")
    lab.withdraw(PREFIX)
    lab.wait_for_absence(PREFIX)
