"""The order in which a lab comes up: what each step needs is there before it.

namespaces → links → addresses → capture (it must see the first session) → daemons, machines, agents and
``serve`` → the configured state, through the API → sessions → the inventory, whose file says: up.

What only takes time to start is started early and waited for late: ``serve`` at the very beginning, since it
needs no node; machines and agents with the daemons, since an agent waits for its speaker and its machines
by itself.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import msgspec

from controller.agent.policy import AgentPolicy
from controller.observe.inventory import Inventory
from labs.nodes import kind_of
from labs.nodes.model import Daemon
from labs.runtimes import description, filesystem, guard_keys, kernel, processes
from labs.runtimes.children import Children
from labs.runtimes.errors import LabStartError, ProcessStartError, SetupCommandError
from labs.runtimes.host import SINGLE_WARNING, search_path
from labs.runtimes.links import failed_line, link_lines
from labs.runtimes.node import Execution, RunningNode, make_node, one_line, set_up
from labs.runtimes.owners import read_owners
from labs.runtimes.plan import LabPlan
from labs.runtimes.supervise import ProcessSpec, Supervisor
from labs.runtimes.wire import Progress

THREADS = 4
"""Nodes set up at once; most of the work is the kernel's, and much of that under locks."""


class Lab:
    """A lab while it comes up and while it runs; used inside the lab process only."""

    def __init__(
        self, plan: LabPlan, report: Callable[[Progress], None], warn: Callable[[str], None]
    ) -> None:
        self.plan = plan
        self.paths = plan.paths
        self.cancelled = threading.Event()
        self.children = Children()
        self.supervisor = Supervisor(self.children, self.cancelled)
        self.nodes: dict[str, RunningNode] = {}
        self.sites = description.sites_of(plan.topology, plan.paths)
        self.report = report
        self.warn = warn
        self.env = {
            "PATH": search_path(),
            "HOME": "/root",
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",
            "HERALD_RUNTIME_DIR": str(plan.runtime_root),
        }
        self.execution = Execution(self.children, self.env)

    # -- the whole way ------------------------------------------------------------------------------------
    def bring_up(self) -> list[str]:
        """Bring everything up; return warnings. On :class:`LabStartError` the caller ends the lab."""
        self._prepare()
        self._import_store()
        if self.sites:
            guard_keys.write_keys(self.paths)
            self._sign_policy()
        policy = self.plan.topology.path.parent / "configs" / "policy.toml"
        serve = [processes.serve_spec(self.sites, self.paths, self.env, policy)] if self.sites else []
        self._begin(serve)
        self._make_nodes()
        self._make_links()
        self._set_up_nodes()
        self._begin([self._capture()])
        self._await("capture", ["capture"])
        (daemons, later), ours = self._daemons(), [*self._machines(), *self._agents()]
        self._begin([*daemons, *ours])
        self.supervisor.wait_ready(sorted({awaited for _, awaited in later}))
        self._begin([spec for spec, _ in later])
        self._await("daemons", [spec.name for spec in (*daemons, *(spec for spec, _ in later))])
        configured = [n for n, node in self.nodes.items() if node.kind.configure(node.place)]
        self._each("configuration", configured, self.configure)
        self._await("herald", [spec.name for spec in (*ours, *serve)])
        return self.finish()

    def finish(self) -> list[str]:
        """Load the configured state, wait for sessions, write the inventory; return warnings."""
        warnings = self._load_addressing() + self._wait_sessions()
        write_atomically(self.paths.inventory, msgspec.json.format(msgspec.json.encode(self.inventory())))
        return warnings

    def restart(self, name: str) -> None:
        """Restart one process; a daemon that reads no configuration by itself is given it again."""
        self.supervisor.restart(name)
        node = self.supervisor.spec(name).node
        if node is not None and "/" in name:
            self.configure(node)

    def stop(self, report: Callable[[Progress], None]) -> None:
        """End all processes, from those that command to those that obey, the capture last."""
        names = self.supervisor.names()
        herald = [n for p in ("serve", "agent:", "machine:") for n in names if n.startswith(p)]
        daemons = [n for n in names if "/" in n]
        for count, group in enumerate((herald, daemons, ["capture"])):
            report(Progress("ending", count, 3))
            self.supervisor.stop(n for n in group if n in names)
        report(Progress("ending", 3, 3))

    def inventory(self) -> Inventory:
        """Return what this lab is, for those who look at it."""
        state = self.paths.state("serve")
        token = state / "operator.token"
        text = token.read_text().strip() if self.sites and token.exists() else ""
        owners = read_owners(state) if self.sites else {}
        return description.inventory_of(self.plan.topology, self.paths, self.nodes, text, owners)

    # -- steps --------------------------------------------------------------------------------------------
    def _check(self) -> None:
        if self.cancelled.is_set():
            raise LabStartError("interrupted")

    def _each(self, phase: str, names: list[str], work: Callable[[str], None]) -> None:
        """Do ``work`` for each name, some at a time, and report how many are done."""
        if not names:
            return
        total = len(names)
        self.report(Progress(phase, 0, total))
        with ThreadPoolExecutor(THREADS) as pool:

            def one(name: str) -> None:
                self._check()
                work(name)

            try:
                for count, _ in enumerate(pool.map(one, names), 1):
                    self.report(Progress(phase, count, total))
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def _prepare(self) -> None:
        filesystem.prepare_lab(self.paths.stage)
        for folder in ("agent", "machine", "run"):
            (self.paths.runtime / folder).mkdir()
        (self.paths.folder / "capture").mkdir(parents=True, exist_ok=True)
        passwd, group = filesystem.accounts(
            Path("/etc/passwd").read_text(), Path("/etc/group").read_text(), {"frr"}, {"frr", "frrvty"}
        )
        accounts = self.paths.stage / "accounts"
        accounts.mkdir()
        (accounts / "passwd").write_text(passwd)
        (accounts / "group").write_text(group)
        code, output = self.children.run(("ip", "link", "set", "lo", "up"), env=self.env)
        if code != 0:
            raise SetupCommandError(f"the lab's loopback interface: {one_line(output)}")

    def _make_nodes(self) -> None:
        specs = {n.name: n for n in self.plan.topology.nodes}
        stage = self.paths.stage
        made: dict[str, RunningNode] = {}

        def make(name: str) -> None:
            spec = specs[name]
            made[name] = make_node(
                spec,
                kind_of(spec.daemon),
                run=self.paths.run(name),
                staging=stage / "nodes" / name,
                accounts=stage / "accounts",
                execution=self.execution,
            )

        self._each("namespaces", list(specs), make)
        self.nodes = {name: made[name] for name in specs}
        # After the last node: each mount here would be copied into every node made later.
        for name, node in self.nodes.items():
            place = Path("/run/netns", name)
            place.touch()
            kernel.mount(f"/proc/self/fd/{node.space.net}", str(place), flags=kernel.MS_BIND)

    def _make_links(self) -> None:
        lines = link_lines(self.plan.topology.links)
        self._check()
        self.report(Progress("links", 0, len(lines)))
        if lines:
            text = "".join(f"{line}\n" for line in lines)
            status, output = self.children.run(("ip", "-batch", "-"), env=self.env, text=text)
            if status != 0:
                line = failed_line(output)
                what = f"ip {lines[line]}" if line is not None else "ip -batch"
                raise SetupCommandError(f"links: {what}: exit status {status}: {one_line(output)}")
        self.report(Progress("links", len(lines), len(lines)))

    def _set_up_nodes(self) -> None:
        ends: dict[str, list[str]] = {name: [] for name in self.nodes}
        for link in self.plan.topology.links:
            for end in link.endpoints:
                ends[end.node].append(end.interface)
        self._each("addresses", list(self.nodes), lambda n: set_up(self.nodes[n], ends[n], self.execution))

    def _begin(self, specs: list[ProcessSpec]) -> None:
        self._check()
        for spec in specs:
            spec.log.unlink(missing_ok=True)
        self.supervisor.begin(specs)

    def _await(self, phase: str, names: list[str]) -> None:
        if names:
            self.report(Progress(phase, 0, len(names)))
            self.supervisor.wait_ready(names, lambda count: self.report(Progress(phase, count, len(names))))

    def configure(self, name: str) -> None:
        """Give a node's daemons their configuration, where they do not read it themselves."""
        node = self.nodes[name]
        for command in node.kind.configure(node.place):
            status, output = node.place.execute(command)
            if status != 0:
                raise ProcessStartError(
                    f"node {name}: {' '.join(command)}: exit status {status}:\n{output.strip()}"
                )

    def _daemons(self) -> tuple[list[ProcessSpec], list[tuple[ProcessSpec, str]]]:
        """Return the daemons to start at once, and those that each wait for another process, by its name."""
        first: list[ProcessSpec] = []
        later: list[tuple[ProcessSpec, str]] = []
        for node in self.nodes.values():
            for daemon in node.kind.daemons(node.place):
                spec = self._daemon(node, daemon)
                if daemon.after is None:
                    first.append(spec)
                else:
                    later.append((spec, f"{node.spec.name}/{daemon.after}"))
        return first, later

    def _machines(self) -> list[ProcessSpec]:
        machines = [n for n in self.nodes.values() if n.spec.role == "machine"]
        return [processes.machine_spec(n, self.paths, self.env) for n in machines]

    def _daemon(self, node: RunningNode, daemon: Daemon) -> ProcessSpec:
        name = node.spec.name
        left_out = None if self.plan.privilege in node.kind.privileges else SINGLE_WARNING
        return ProcessSpec(
            f"{name}/{daemon.name}",
            daemon.argv,
            {**self.env, **node.spec.env, **daemon.env},
            self.paths.log(name, daemon.name),
            node=name,
            space=node.space,
            ready=daemon.ready,
            stale=daemon.stale,
            left_out=left_out,
        )

    def _capture(self) -> ProcessSpec:
        config = self.paths.runtime / "capture.json"
        return processes.capture_spec(self.nodes.values(), self.paths, config, self.env)

    def _agents(self) -> list[ProcessSpec]:
        specs = []
        for site in self.sites:
            told = processes.agent_config(
                site, self.nodes, self.plan.topology.links, self.paths, [s.name for s in self.sites]
            )
            config = self.paths.runtime / "agent" / f"{site.name}.json"
            config.write_bytes(msgspec.json.encode(told))
            specs.append(processes.agent_spec(site, self.nodes[site.router], self.paths, config, self.env))
        return specs

    def _sign_policy(self) -> None:
        """Sign the agents' policy beside the topology, where there is one: the lab may loosen its own."""
        source = self.plan.topology.path.parent / "configs" / "agent-policy.json"
        if source.exists():
            try:
                policy = msgspec.json.decode(source.read_bytes(), type=AgentPolicy, strict=True)
            except msgspec.MsgspecError as error:
                raise LabStartError(f"{source} is no agent's policy: {error}") from error
            guard_keys.sign_lab_policy(self.paths, policy, f"it stands in {source.name}")

    def _import_store(self) -> None:
        """Let the controller begin with the export beside the topology, where there is one.

        For labs with thousands of prefixes, which the API would take minutes to be told of one by one.
        """
        source = self.plan.topology.path.parent / "configs" / "store.jsonl"
        database = self.paths.state("serve") / "herald.db"
        if not self.sites or not source.exists() or database.exists():
            return
        self._check()
        self.report(Progress("store", 0, 1))
        database.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        command = processes.herald("store", "import", str(source), "--database", str(database))
        status, output = self.children.run(command, env=self.env)
        if status != 0:
            raise SetupCommandError(f"{source} cannot be imported: {one_line(output)}")
        self.report(Progress("store", 1, 1))

    def _load_addressing(self) -> list[str]:
        source = self.plan.topology.path.parent / "configs" / "addressing.json"
        if not self.sites or not source.exists():
            return []
        from labs.runtimes.addressing import load  # noqa: PLC0415  (httpx: not for labs without a site)

        self._check()
        load(
            source,
            self.paths.api,
            self.inventory().api_token,
            self.paths.state("serve"),
            lambda n, m: self.report(Progress("addressing", n, m)),
        )
        return []

    def _wait_sessions(self) -> list[str]:
        """Wait until every session of every daemon is Established; return who is not when time is up."""
        from labs.runtimes.sessions import wait_established  # noqa: PLC0415  (readers of every daemon)

        names = self.supervisor.names()
        silent = {n.split("/")[0] for n in names if "/" in n and self.supervisor.state(n)[0] != "running"}
        inventory = self.inventory()
        if all(n.daemon == "linux" for n in inventory.nodes):
            return []
        return wait_established(inventory, silent, self.cancelled, self.report)


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file so that a reader sees all of it or the one before."""
    fresh = path.with_name(path.name + ".new")
    fresh.write_bytes(content)
    fresh.replace(path)
