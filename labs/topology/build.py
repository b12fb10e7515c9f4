"""The model from a validated document: nodes with what they inherit, binds, links, the digest.

It looks at the file system only for what is bound.
"""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from labs.topology.check import check_links, check_names, check_node, check_sites, check_waits
from labs.topology.errors import Problem, one_line
from labs.topology.folder import lab_folder
from labs.topology.inherit import Resolved, resolve
from labs.topology.marks import Marked, Place, dotted
from labs.topology.model import (
    Bind,
    Endpoint,
    HealthCheck,
    LinkKind,
    LinkSpec,
    NodeSpec,
    StageExec,
    StageSpec,
    Topology,
    WaitFor,
)
from labs.topology.schema import UNUSED, UNUSED_END, UNUSED_MANAGEMENT, Document, LinkEnd, LinkKeys, NodeKeys

DEFAULT_MTU = 9500
"""Bytes; containerlab's default."""
LONGEST_SHOWN = 80
"""Characters of a value that a message repeats."""
HOST = "host"
"""What a link's end names to mean the host itself."""


class Builder:
    """Builds one topology. ``left_out``: places whose values were wrong, and are not in the document."""

    def __init__(self, path: Path, marked: Marked, document: Document, left_out: Sequence[Place]) -> None:
        self.path = path
        self.marked = marked
        self.document = document
        self.left_out = left_out
        self.problems: list[Problem] = []
        self.warnings: dict[str, None] = {}

    def build(self, text: str) -> Topology | None:
        """Return the topology; None when something is wrong: ``problems`` then has all that was found."""
        keys = self.document.topology
        check_names(self.document, self.problem)
        self.unused_at_top()
        # A name that is wrong may be no name of a folder either, and then nothing comes of this lab anyway.
        folder = self.path.parent if self.problems else lab_folder(self.path, self.document.name)
        resolved = {name: resolve(name, keys) for name in keys.nodes}
        nodes = tuple(self.node(name, node, folder) for name, node in resolved.items())
        numbered = [(i, link) for i, one in enumerate(keys.links) if (link := self.link(i, one)) is not None]
        check_links(numbered, set(keys.nodes), self.problem)
        check_sites(nodes, resolved, self.problem)
        check_waits(nodes, resolved, self.problem)
        if self.problems:
            return None
        return Topology(
            name=self.document.name,
            path=self.path.resolve(),
            folder=folder,
            nodes=nodes,
            links=tuple(link for _, link in numbered),
            digest=self.digest(text, nodes),
            warnings=tuple(self.warnings),
        )

    def problem(self, place: Place, message: str) -> None:
        """Note something wrong at ``place``, unless what is wrong there has been told already."""
        if not any(out[: len(place)] == place for out in self.left_out):
            self.problems.append(Problem(self.path, self.marked.line(place), dotted(place), message))

    def warn(self, place: Place, message: str) -> None:
        """Note, once, that something at ``place`` does nothing."""
        self.warnings[one_line(f"{self.path}:{self.marked.line(place)}: {message}")] = None

    def unused_at_top(self) -> None:
        """Warn of what is above the nodes and does nothing."""
        document = self.document
        if document.prefix is not None:
            self.warn(("prefix",), "prefix is accepted and not used here")
        for field in UNUSED_MANAGEMENT:
            if document.mgmt is not None and getattr(document.mgmt, field):
                key = field.replace("_", "-")
                self.warn(("mgmt", key), f"mgmt.{key} is accepted and not used here")

    def node(self, name: str, node: Resolved, folder: Path) -> NodeSpec:
        """Return one node."""
        keys = node.keys
        check_node(name, node, self.document.topology, self.problem)
        for field in UNUSED:
            if getattr(keys, field):
                key = field.replace("_", "-")
                self.warn(node.place(key), f"{_layer(node.place(key))}: {key} is accepted and not used here")
        mode = keys.network_mode or ""
        if mode.startswith("container:"):
            what = f"{name}: a namespace shared with another node is not made here; each node has its own"
            self.warn(node.place("network-mode"), what)
        magic = {
            "__clabDir__": str(folder),
            "__clabNodeDir__": str(folder / name),
            "__clabNodeName__": name,
            "__clabLabName__": self.document.name,
        }

        def put(text: str) -> str:
            for word, value in magic.items():
                text = text.replace(word, value)
            return text

        return NodeSpec(
            name=name,
            kind=keys.kind or "linux",
            image=keys.image,
            labels={k: put(v) for k, v in keys.labels.items()},
            binds=self.binds(node, [put(bind) for bind in keys.binds]),
            exec=tuple(self.words(node.place("exec", i), put(line)) for i, line in enumerate(keys.exec)),
            cmd=self.words(node.place("cmd"), put(keys.cmd)) if keys.cmd else (),
            entrypoint=self.words(node.place("entrypoint"), put(keys.entrypoint)) if keys.entrypoint else (),
            env={k: put(v or "") for k, v in keys.env.items()},
            sysctls={k: put(v) for k, v in keys.sysctls.items()},
            user=keys.user,
            network_mode=keys.network_mode,
            startup_delay=float(keys.startup_delay or 0),
            vars=dict(keys.config.vars) if keys.config else {},
            stages=tuple(self.stages(node, keys)),
            healthcheck=_healthcheck(keys),
        )

    def words(self, place: Place, text: str) -> tuple[str, ...]:
        """Split a command into words as a shell would, which is all that a shell's syntax does here."""
        try:
            words = tuple(shlex.split(text))
        except ValueError as error:
            self.problem(place, f"cannot be split into words: {error}; close the quotes")
            return ()
        if not words:
            self.problem(place, "is empty; allowed: a command")
        return words

    def binds(self, node: Resolved, texts: Sequence[str]) -> tuple[Bind, ...]:
        """Return what is bound; each target once."""
        binds = tuple(self.bind(node.place("binds", i), text) for i, text in enumerate(texts))
        targets = [bind.target for bind in binds]
        for i, target in enumerate(targets):
            if target in targets[:i]:
                self.problem(node.place("binds", i), f"{target} is bound already; allowed: once")
        return binds

    def bind(self, place: Place, text: str) -> Bind:
        """Return one bind."""
        source, target, *options = [*text.split(":"), "", ""][: max(2, text.count(":") + 1)]
        bind = Bind(self.path, target, read_only=options == ["ro"])
        if not source or not target or options not in ([], ["ro"], ["rw"]):
            self.problem(place, f"{text!r} is not a bind; allowed: SOURCE:TARGET or SOURCE:TARGET:ro")
        elif not target.startswith("/") or ".." in target.split("/"):
            what = f"the target {target!r} is not absolute; allowed: a path that begins with /, without .."
            self.problem(place, what)
        else:
            return Bind(self.source(place, source), target, bind.read_only)
        return bind

    def source(self, place: Place, text: str) -> Path:
        """Return the file or folder that is bound."""
        try:
            source = (self.path.resolve().parent / Path(text).expanduser()).resolve()
            there = source.exists()
        except (OSError, RuntimeError) as error:
            # RuntimeError is pathlib's for a loop of symbolic links, and for the home of nobody.
            why = error.strerror if isinstance(error, OSError) else str(error)
            shown = text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"
            self.problem(place, f"{shown!r} cannot be bound: {why}")
            return self.path
        if not there:
            self.problem(place, f"{source} does not exist; allowed: a file or folder beside the topology")
        return source

    def stages(self, node: Resolved, keys: NodeKeys) -> Iterator[StageSpec]:
        """Return the stages that say anything."""
        for field in ("create", "create_links", "configure", "healthy", "exit"):
            stage = getattr(keys.stages, field, None)
            if stage is not None:
                yield StageSpec(
                    name=field.replace("_", "-"),  # type: ignore[arg-type]  # the fields are the stages' names
                    wait_for=tuple(WaitFor(w.node, w.stage) for w in stage.wait_for),
                    exec=tuple(
                        StageExec(self.words(node.place("stages"), e.command), e.target, e.phase)
                        for e in stage.exec
                    ),
                )

    def link(self, index: int, keys: LinkKeys | None) -> LinkSpec | None:
        """Return one link; None when it is wrong by itself."""
        place: Place = ("topology", "links", index)
        if keys is None:
            self.problem(place, "is empty; allowed: endpoints, or a type with its endpoints")
            return None
        ends = self.ends(place, keys)
        if ends is None:
            return None
        kind: LinkKind = keys.type or ("host" if any(end.node == HOST for end in ends) else "veth")
        wanted = 1 if kind == "dummy" else 2
        if len(ends) != wanted:
            self.problem(place, f"a {kind} link has {wanted} endpoint{'s' * (wanted > 1)}, not {len(ends)}")
            return None
        if kind == "host":
            ends.sort(key=lambda end: end.node == HOST)
        if keys.labels:
            self.warn((*place, "labels"), f"link {index}: labels is accepted and not used here")
        values = {**keys.vars, **(keys.config.vars if keys.config else {})}
        mtu = DEFAULT_MTU if keys.mtu is None else keys.mtu
        return LinkSpec(tuple(ends), kind, mtu, values)

    def ends(self, place: Place, keys: LinkKeys) -> list[Endpoint] | None:
        """Return a link's ends; None when they are not said well."""
        if (keys.endpoints is None) == (keys.endpoint is None):
            self.problem(place, "allowed: either endpoints (two) or endpoint (of a host or dummy link)")
            return None
        of_host = keys.type == "host" and keys.endpoint is not None
        if of_host != (keys.host_interface is not None):
            self.problem(place, "a link of type host, and no other, has endpoint and host-interface")
            return None
        given = keys.endpoints if keys.endpoint is None else [keys.endpoint]
        key = "endpoints" if keys.endpoint is None else "endpoint"
        ends = [self.end((*place, key, i), end) for i, end in enumerate(given or ())]
        if keys.host_interface is not None:
            ends.append(Endpoint(HOST, keys.host_interface))
        return None if None in ends else [end for end in ends if end is not None]

    def end(self, place: Place, end: str | LinkEnd) -> Endpoint | None:
        """Return one end."""
        if isinstance(end, LinkEnd):
            for field in UNUSED_END:
                if getattr(end, field) is not None:
                    self.warn(
                        (*place, field), f"{end.node}:{end.interface}: {field} is accepted and not used here"
                    )
            return Endpoint(end.node, end.interface, end.vars)
        node, colon, interface = end.partition(":")
        if not (node and colon and interface) or ":" in interface:
            self.problem(place, f"{end!r} is not an endpoint; allowed: NODE:INTERFACE")
            return None
        return Endpoint(node, interface)

    def digest(self, text: str, nodes: Iterable[NodeSpec]) -> str:
        """Return the hash of the text, with variables replaced, and of all files that are bound."""
        digest = hashlib.sha256(text.encode())
        beside = self.path.resolve().parent
        for source in sorted({bind.source for node in nodes for bind in node.binds}):
            for file in _files(source, beside):
                digest.update(f"{file}\0".encode(errors="surrogateescape"))
                try:
                    digest.update(hashlib.sha256(file.read_bytes()).digest())
                except OSError as error:
                    self.warn((), f"{file} is bound and cannot be read: {error.strerror}")
        return digest.hexdigest()


def _files(source: Path, beside: Path) -> list[Path]:
    """Return the files in what is bound; of a folder that is not the lab's own, none."""
    if source.is_file():
        return [source]
    if source.is_dir() and source.is_relative_to(beside) and source != beside:
        return sorted(file for file in source.rglob("*") if file.is_file())
    return []


def _layer(place: Place) -> str:
    """Return who says it: a node's name, ``defaults``, or a kind's or group's name."""
    return str(place[2]) if len(place) > 2 and place[1] != "defaults" else "defaults"


def _healthcheck(keys: NodeKeys) -> HealthCheck | None:
    check = keys.healthcheck
    if check is None:
        return None
    return HealthCheck(tuple(check.test), check.start_period, check.interval, check.timeout, check.retries)
