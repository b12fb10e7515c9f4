"""The dependency rule of docs/architecture.md, read from the imports themselves."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PURE = [
    "controller/bgp.py",
    "controller/errors.py",
    "controller/snapshots/model.py",
    "controller/snapshots/projection.py",
    "controller/snapshots/compile.py",
    "controller/snapshots/diff.py",
    "controller/snapshots/objects.py",
    "controller/snapshots/overlaps.py",
    "controller/snapshots/rollback.py",
    "controller/snapshots/collection.py",
    "controller/snapshots/naming.py",
    "controller/forecast/network.py",
    "controller/forecast/simulate.py",
    "controller/forecast/foretell.py",
    "controller/cli/foretold.py",
    "controller/safety/base64url.py",
    "controller/safety/effects.py",
    "controller/safety/intents.py",
    "controller/safety/migration.py",
    "controller/safety/subtraction.py",
    "controller/safety/policy.py",
    "controller/safety/verdict.py",
    "controller/safety/correlated.py",
    "controller/safety/keepers.py",
    "controller/safety/budget.py",
    "controller/safety/windows.py",
    "controller/safety/assess.py",
    "controller/safety/candidate.py",
    "controller/safety/checks.py",
    "controller/safety/excess.py",
    "controller/safety/radius.py",
    "controller/safety/policy_change.py",
    "controller/safety/observed.py",
    "controller/safety/breaker.py",
    "controller/safety/drain.py",
    "controller/safety/drain_plan.py",
    "controller/safety/freeze.py",
    "controller/rollout/gatekeeper.py",
    "controller/rollout/gates.py",
    "controller/rollout/votes.py",
    "controller/rollout/outlook.py",
    "controller/rollout/faring.py",
    "controller/rollout/remembered.py",
    "controller/observe/elsewhere.py",
    "controller/rollout/health_grants.py",
    "controller/rollout/machine.py",
    "controller/rollout/states.py",
    "controller/rollout/events.py",
    "controller/rollout/course.py",
    "controller/rollout/waves.py",
    "controller/rollout/rebase.py",
    "controller/rollout/two_steps.py",
    "controller/rollout/tracked.py",
    "controller/rollout/followed.py",
    "controller/rollout/delivery.py",
    "controller/rollout/drain_orders.py",
    "controller/addressing/rules.py",
    "controller/addressing/policy.py",
    "controller/addressing/delegation_rules.py",
    "controller/addressing/address_map_rules.py",
    "controller/addressing/loa_upload.py",
    "controller/addressing/errors.py",
    "controller/addressing/life.py",
    "controller/timeline/names.py",
    "controller/timeline/show.py",
    "controller/timeline/policy.py",
    "controller/timeline/sighting.py",
    "controller/addressing/differences.py",
    "controller/addressing/headers.py",
    "controller/addressing/links.py",
    "controller/addressing/permissions.py",
    "controller/addressing/audit_chain.py",
    "controller/addressing/meanings.py",
    "controller/safety/second_person.py",
    "controller/shadow/compare.py",
    "controller/shadow/facts.py",
    "controller/tasks/api.py",
    "controller/tasks/clean_up.py",
    "controller/tasks/declaration.py",
    "controller/tasks/machine.py",
    "controller/tasks/plan.py",
    "controller/tasks/removals_report.py",
    "controller/tasks/schedule.py",
    "controller/tasks/scope.py",
    "controller/cli/scope.py",
    "controller/cli/token_words.py",
    "controller/cli/answers.py",
    "controller/cli/cells.py",
    "controller/cli/plan.py",
    "controller/cli/routes.py",
    "controller/cli/tables.py",
    "controller/validation/errors.py",
    "controller/validation/vrps.py",
    "controller/validation/acceptance.py",
    "controller/validation/vrp_export.py",
    "controller/validation/rtr_pdu.py",
    "controller/validation/rtr_client.py",
    "controller/validation/rpsl.py",
    "controller/validation/whois.py",
    "controller/validation/reverse.py",
    "controller/validation/ownership.py",
    "controller/validation/checks.py",
    "controller/validation/verdicts.py",
    "controller/transport/messages.py",
    "controller/speakers/bird_config.py",
    "controller/agent/journal_records.py",
    "controller/machine/absence.py",
    "controller/agent/guard.py",
    "controller/agent/health.py",
    "controller/agent/health_report.py",
    "controller/agent/epoch.py",
    "controller/agent/salvage.py",
    "controller/agent/override.py",
    "controller/agent/policy.py",
    "controller/agent/standing.py",
    "controller/safety/registry.py",
    "controller/agent/drains.py",
    "controller/safety/signed.py",
    "controller/agent/registry.py",
    "controller/agent/reconcile.py",
    "controller/agent/commands.py",
    "controller/agent/outstanding.py",
    "controller/observe/evidence.py",
    "controller/observe/visibility.py",
    "controller/observe/adjacencies.py",
    "controller/observe/probe_packets.py",
    "controller/observe/event.py",
    "controller/observe/rib.py",
    "controller/observe/bgp_message.py",
    "controller/observe/bgp_update.py",
    "controller/observe/packet.py",
    "controller/observe/conversations.py",
    "controller/observe/merge.py",
    "controller/observe/event_log.py",
    "controller/observe/capture_protocol.py",
    "controller/observe/holding.py",
    "controller/observe/settled.py",
    "controller/observe/tcp_stream.py",
    "controller/observe/history.py",
    "controller/observe/mrt.py",
    "controller/observe/table_dump.py",
    "labs/topology/model.py",
    "labs/hunting/analysis.py",
    "labs/hunting/series.py",
    "labs/hunting/bgplay.py",
    "labs/hunting/told.py",
    "labs/hunting/loops.py",
    "labs/hunting/repeats.py",
    "labs/hunting/layout.py",
    "labs/hunting/replay.py",
    "labs/topology/inherit.py",
    "labs/topology/check.py",
    "labs/topology/variables.py",
    "labs/topology/marks.py",
    "labs/topology/design.py",
]

IMPURE = {
    "asyncio", "ctypes", "fcntl", "glob", "http", "httpx", "grpc", "io", "mmap", "multiprocessing", "os",
    "pyroute2", "random", "secrets", "select", "selectors", "shutil", "signal", "socket", "sqlalchemy",
    "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time", "uuid", "uvicorn",
}  # fmt: skip
"""Modules that do I/O, read a clock, or draw chance. ``pathlib`` is allowed for its pure paths alone."""

LAYERS = {
    # Below the API nobody reads customers' tables; above the agent nobody talks to a daemon.
    "controller/snapshots": ("controller.addressing", "controller.agent", "controller.speakers"),
    "controller/rollout": ("controller.agent", "controller.speakers", "controller.machine"),
    "controller/addressing": ("controller.agent", "controller.speakers", "controller.machine"),
    # The timeline is written from all sides, and knows none of them.
    "controller/timeline": (
        "controller.addressing",
        "controller.snapshots",
        "controller.rollout",
        "controller.agent",
    ),
    "controller/agent": ("controller.addressing", "controller.rollout", "controller.store"),
    "controller/machine": ("controller.addressing", "controller.rollout", "controller.store"),
    "controller/speakers": ("controller.addressing", "controller.agent", "controller.snapshots"),
    "controller/validation": (
        "controller.addressing",
        "controller.rollout",
        "controller.safety",
        "controller.snapshots",
        "controller.store",
        "controller.transport",
    ),
    # A task acts by the API alone: nothing below it is within its reach.
    "controller/tasks": (
        "controller.snapshots",
        "controller.rollout",
        "controller.agent",
        "controller.machine",
        "controller.speakers",
        "controller.transport",
    ),
    "controller/transport": ("controller.addressing", "controller.agent", "controller.speakers"),
}


def imports(path: Path, *, at_run_time_only: bool = False) -> set[str]:
    """Return the full names that a file imports (with ``from a import b`` as ``a.b``)."""
    tree = ast.parse(path.read_text())
    skipped: set[ast.AST] = set()
    if at_run_time_only:
        for node in ast.walk(tree):
            if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
                skipped.update(child for stmt in node.body for child in ast.walk(stmt))
    found: set[str] = set()
    for node in ast.walk(tree):
        if node in skipped:
            continue
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            found.update(f"{node.module}.{alias.name}" for alias in node.names)
            found.add(node.module)
    return found


def python_files(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def test_the_product_never_imports_the_laboratory() -> None:
    offenders = [
        (str(path.relative_to(ROOT)), name)
        for path in python_files("controller")
        for name in imports(path)
        if within(name, "labs")
    ]
    assert offenders == []


@pytest.mark.parametrize("file", PURE)
def test_pure_modules_import_no_io_and_no_clock(file: str) -> None:
    offenders = {name for name in imports(ROOT / file) if name.split(".")[0] in IMPURE}
    assert offenders == set(), f"{file} is named pure, and imports {sorted(offenders)}"


@pytest.mark.parametrize("file", PURE)
def test_pure_modules_ask_no_clock(file: str) -> None:
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.Attribute) and node.attr in {"now", "utcnow", "today"}:
            owner = ast.unparse(node.value)
            assert "datetime" not in owner and owner != "date", f"{file}:{node.lineno} reads a clock"


@pytest.mark.parametrize(("room", "forbidden"), LAYERS.items())
def test_rooms_stay_on_their_side(room: str, forbidden: tuple[str, ...]) -> None:
    offenders = [
        (str(path.relative_to(ROOT)), name)
        for path in python_files(room)
        for name in imports(path, at_run_time_only=True)
        if any(within(name, package) for package in forbidden)
    ]
    assert offenders == []
