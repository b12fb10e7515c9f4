"""Fixtures for anybody's tests on real daemons.

::

    def test_a_peer_sees_us(herald_lab):
        lab = herald_lab("topologies/two-sites/two-sites.clab.yml", HERALD_SPEAKER="gobgp")
        lab.announce("192.0.2.0/24")
        lab.wait_for_route("192.0.2.0/24")
        assert lab.node("vantage").rib()["192.0.2.0/24"][0].as_path[-1] == 64500

A lab is started for a topology and set of variables, shared by the session's tests, put back to "nothing
announced" before each use, and ended with the session, or when others have been wanted since. It runs on a
copy of the topology's folder, so that a lab of yours that is up is left alone. Its agents have production's
guards but for their budgets, which tests would spend (``configs/agent-policy.json`` in a topology's folder
says otherwise). When a test fails, its labs' RIBs and updates are in the report.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from controller.errors import HeraldError

if TYPE_CHECKING:
    from labs.live import LiveLab

MOST_UP = 3
"""Labs that stay up for tests to come: each costs some of the machine, though nothing happens in it."""

Key = tuple[str, tuple[tuple[str, str], ...]]


class LabFactory(Protocol):
    """What the fixture ``herald_lab`` is."""

    def __call__(self, topology: str | Path, **variables: str) -> LiveLab:
        """Return the lab of ``topology`` with ``variables`` set, up and with nothing announced."""
        ...


class _Labs:
    """The labs of one test session."""

    def __init__(self) -> None:
        # Not pytest's tmp_path: unix socket paths and an ordinary user's rights want a short, own folder.
        self.folder = Path(tempfile.mkdtemp(prefix="herald-test-"))
        self.made = 0
        self.up: dict[Key, LiveLab] = {}
        """The one that was wanted last is the last."""
        self.used: dict[str, list[LiveLab]] = {}

    def get(
        self, root: Path, topology: str | Path, variables: dict[str, str], in_use: list[LiveLab]
    ) -> LiveLab:
        from labs.live import LiveLab  # noqa: PLC0415  (start-up of every pytest run)
        from labs.runtimes import lab as runtime  # noqa: PLC0415

        source = Path(topology) if Path(topology).is_absolute() else root / topology
        key = (str(source.resolve()), tuple(sorted(variables.items())))
        live = self.up.pop(key, None)
        if live is not None and live.spoiled:
            live.running.down(cleanup=True)
            live = None
        if live is None:
            self._make_room(in_use)
            self.made += 1
            copy = self.folder / str(self.made) / source.parent.name
            shutil.copytree(source.parent, copy, ignore=shutil.ignore_patterns("clab-*"))
            _let_tests_withdraw(copy / "configs" / "agent-policy.json")
            live = LiveLab(runtime.up(copy / source.name, variables=variables))
            live.running.hold()
            self.up[key] = live
        else:
            self.up[key] = live
            runtime.up(live.inventory.topology, variables=variables)  # restarts what a test has killed
            live.reset()
        return live

    def _make_room(self, in_use: list[LiveLab]) -> None:
        idle = [key for key, live in self.up.items() if live not in in_use]
        for key in idle[: max(0, len(self.up) - MOST_UP + 1)]:
            self.up.pop(key).running.down()

    def down(self) -> None:
        for live in self.up.values():
            live.running.down()
        shutil.rmtree(self.folder, ignore_errors=True)


def _let_tests_withdraw(policy: Path) -> None:
    """Give the lab's agents a budget that no session of tests spends, unless its folder has a policy.

    A session takes more off the air in a minute than a site does in production; all other guards stay armed.
    """
    import msgspec  # noqa: PLC0415  (start-up of every pytest run)

    from controller.agent.policy import AgentPolicy  # noqa: PLC0415
    from controller.safety.budget import Limit  # noqa: PLC0415

    if policy.exists() or not policy.parent.is_dir():
        return
    wide = tuple(Limit(limit.seconds, 100_000) for limit in AgentPolicy().budget)
    policy.write_bytes(msgspec.json.encode(AgentPolicy(budget=wide)))


@pytest.fixture(scope="session")
def _herald_labs() -> Iterator[_Labs]:
    labs = _Labs()
    try:
        yield labs
    finally:
        labs.down()


@pytest.fixture
def herald_lab(request: pytest.FixtureRequest, _herald_labs: _Labs) -> LabFactory:
    """Return a function that brings labs up: ``herald_lab(topology, VARIABLE="value")``."""
    used = _herald_labs.used.setdefault(request.node.nodeid, [])

    def factory(topology: str | Path, **variables: str) -> LiveLab:
        live = _herald_labs.get(request.config.rootpath, topology, variables, used)
        if live not in used:
            used.append(live)
        request.node.stash[_LABS] = used
        return live

    return factory


_LABS: pytest.StashKey[list[LiveLab]] = pytest.StashKey()


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Add the RIBs and the timeline of updates to the report of a failed lab test."""
    outcome = yield
    report: pytest.TestReport = outcome.get_result()  # type: ignore[attr-defined]  # pluggy's untyped result
    if report.when != "call" or not report.failed:
        return
    for live in item.stash.get(_LABS, []):
        try:
            text = live.report()
        except (HeraldError, OSError) as error:
            text = f"no report could be had: {error}"
        report.sections.append((f"lab {live.inventory.lab}", text))
