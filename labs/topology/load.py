"""Read one topology file into the model, collecting everything that is wrong with it."""

from __future__ import annotations

import difflib
import hashlib
import os
import shlex
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from labs.topology.check import check_links, check_names, check_node
from labs.topology.errors import Problem, TopologyError
from labs.topology.folder import lab_folder
from labs.topology.inherit import resolve
from labs.topology.marks import Marked, Place, read_marked
from labs.topology.model import Bind, Endpoint, LinkSpec, NodeSpec, Topology
from labs.topology.schema import UNUSED, Document, LinkEnd, LinkKeys, NodeKeys
from labs.topology.variables import substitute

DEFAULT_MTU = 9500


def load(path: Path, variables: Mapping[str, str] | None) -> Topology:
    """Read ``path``; see :func:`labs.topology.load_topology`."""
    values = os.environ if variables is None else {**os.environ, **variables}
    try:
        raw = path.read_bytes().decode()
    except OSError as error:
        raise TopologyError(f"cannot read the topology {path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise TopologyError(f"{path} is not text in UTF-8: {error.reason} at byte {error.start}") from error
    text, problems = substitute(raw, path, values)
    marked = read_marked(text, path, problems)
    document = _validate(marked, path, problems)
    if document is None or problems:
        raise TopologyError.of(problems)
    return _Builder(path, text, marked, document).build()


def _validate(marked: Marked, path: Path, problems: list[Problem]) -> Document | None:
    if not isinstance(marked.value, dict):
        if not problems:
            problems.append(Problem(path, 1, "", "not a topology: it needs the keys name and topology"))
        return None
    try:
        return Document.model_validate(marked.value)
    except ValidationError as error:
        for entry in error.errors(include_url=False, include_input=False):
            place, message = _explain(entry, marked.value)
            problems.append(Problem(path, marked.line(place), ".".join(map(str, place)), message))
        return None


def _explain(entry: Any, document: Any) -> tuple[Place, str]:
    """Turn pydantic's finding into a place in the document and a message that says what is allowed."""
    place = _in_document(tuple(entry["loc"]), document)
    if entry["type"] == "extra_forbidden":
        key, allowed = str(place[-1]), _allowed(place[:-1])
        near = difflib.get_close_matches(key, allowed, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        return place, f"unknown key; {hint}allowed: {', '.join(sorted(allowed))}"
    if entry["type"] == "missing":
        return place, "is missing"
    return place, " ".join(str(entry["msg"]).replace("Input should be", "must be").split())


def _in_document(loc: Place, document: Any) -> Place:
    """Drop from pydantic's location what is not in the document (the names of a union's members)."""
    place: list[str | int] = []
    value = document
    for i, part in enumerate(loc):
        if isinstance(value, dict) and isinstance(part, str):
            if part in value or i == len(loc) - 1:
                place.append(part)
                value = value.get(part)
        elif isinstance(value, list) and isinstance(part, int) and part < len(value):
            place.append(part)
            value = value[part]
    return tuple(place)


def _allowed(place: Place) -> list[str]:
    """Return the keys that may stand at ``place``."""
    model: type[BaseModel] = Document
    for part in place:
        if isinstance(part, int):
            continue
        for name, field in model.model_fields.items():
            if part == (field.alias or name):
                inner = _model_in(field.annotation)
                model = inner or model
                break
    return [field.alias or name for name, field in model.model_fields.items()]


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    for inner in getattr(annotation, "__args__", ()):
        found = _model_in(inner)
        if found is not None:
            return found
    return None


class _Builder:
    def __init__(self, path: Path, text: str, marked: Marked, document: Document) -> None:
        self.path = path
        self.text = text
        self.marked = marked
        self.document = document
        self.problems: list[Problem] = []
        self.warnings: list[str] = []

    def problem(self, place: Place, message: str) -> None:
        """Note something wrong at ``place``."""
        key = ".".join(map(str, place))
        self.problems.append(Problem(self.path, self.marked.line(place), key, message))

    def build(self) -> Topology:
        """Return the topology; raises :class:`TopologyError` with all problems."""
        keys = self.document.topology
        check_names(self.document, self.problem)
        folder = lab_folder(self.path, self.document.name)
        nodes = tuple(self._node(name, resolve(name, keys), folder) for name in keys.nodes)
        links = tuple(link for i, one in enumerate(keys.links) if (link := self._link(i, one)) is not None)
        check_links(links, set(keys.nodes), self.problem)
        if self.problems:
            raise TopologyError.of(self.problems)
        return Topology(
            name=self.document.name,
            path=self.path.resolve(),
            folder=folder,
            nodes=nodes,
            links=links,
            digest=self._digest(nodes),
            warnings=tuple(self.warnings),
        )

    def _node(self, name: str, keys: NodeKeys, folder: Path) -> NodeSpec:
        place: Place = ("topology", "nodes", name)
        check_node(name, keys, self.document.topology, self.problem)
        for field in UNUSED:
            if getattr(keys, field):
                key = field.replace("_", "-")
                line = self.marked.line((*place, key))
                self.warnings.append(f"{self.path}:{line}: {name}: {key} is accepted and not used here")
        magic = {
            "__clabDir__": str(folder),
            "__clabNodeDir__": str(folder / name),
            "__clabNodeName__": name,
            "__clabLabName__": self.document.name,
        }

        def put(text: object) -> str:
            result = str(text).lower() if isinstance(text, bool) else str(text)
            for word, value in magic.items():
                result = result.replace(word, value)
            return result

        return NodeSpec(
            name=name,
            kind=keys.kind or "linux",
            image=keys.image,
            labels={k: put(v) for k, v in keys.labels.items()},
            binds=tuple(
                b
                for i, bind in enumerate(keys.binds)
                if (b := self._bind(self._item(name, "binds", i, len(keys.binds)), put(bind)))
            ),
            exec=tuple(
                w
                for i, line in enumerate(keys.exec)
                if (w := self._words(self._item(name, "exec", i, len(keys.exec)), put(line)))
            ),
            cmd=self._words((*place, "cmd"), put(keys.cmd or "")),
            entrypoint=self._words((*place, "entrypoint"), put(keys.entrypoint or "")),
            env={k: put("" if v is None else v) for k, v in keys.env.items()},
            sysctls={k: put(v) for k, v in keys.sysctls.items()},
            user=keys.user,
            network_mode=keys.network_mode,
            startup_delay=float(keys.startup_delay or 0),
            vars=dict(keys.config.vars) if keys.config else {},
        )

    def _item(self, name: str, field: str, index: int, total: int) -> Place:
        """Return the place of an item of a list whose last items are the node's own, the first inherited."""
        own = getattr(self.document.topology.nodes[name] or NodeKeys(), field)
        here = index - (total - len(own))
        return ("topology", "nodes", name, *((field, here) if here >= 0 else ()))

    def _words(self, place: Place, text: str) -> tuple[str, ...]:
        try:
            return tuple(shlex.split(text))
        except ValueError as error:
            self.problem(place, f"cannot be split into words: {error}; close the quotes")
            return ()

    def _bind(self, place: Place, text: str) -> Bind | None:
        parts = text.split(":")
        if len(parts) not in (2, 3) or (len(parts) == 3 and parts[2] not in ("ro", "rw")):
            self.problem(place, f"{text!r} is not a bind; allowed: SOURCE:TARGET or SOURCE:TARGET:ro")
            return None
        source = (self.path.resolve().parent / Path(parts[0]).expanduser()).resolve()
        if not parts[1].startswith("/"):
            self.problem(
                place, f"the target {parts[1]!r} is not absolute; allowed: a path that begins with /"
            )
            return None
        if not source.exists():
            self.problem(place, f"{source} does not exist; allowed: a file or folder beside the topology")
            return None
        return Bind(source, parts[1], read_only=parts[2:] == ["ro"])

    def _link(self, index: int, keys: LinkKeys) -> LinkSpec | None:
        place: Place = ("topology", "links", index)
        kind = keys.type or "veth"
        ends: list[Endpoint | None] = []
        if keys.endpoints is not None:
            ends = [self._end((*place, "endpoints", i), end) for i, end in enumerate(keys.endpoints)]
        elif keys.endpoint is not None:
            ends = [Endpoint(keys.endpoint.node, keys.endpoint.interface, keys.endpoint.vars)]
            if kind == "host":
                ends.append(Endpoint("host", keys.host_interface or ""))
        wanted = 1 if kind == "dummy" else 2
        if len(ends) != wanted:
            self.problem(place, f"a {kind} link has {wanted} endpoint{'s' * (wanted > 1)}, not {len(ends)}")
            return None
        if any(end is None for end in ends):
            return None
        values = {**keys.vars, **(keys.config.vars if keys.config else {})}
        return LinkSpec(tuple(e for e in ends if e), kind, keys.mtu or DEFAULT_MTU, values)

    def _end(self, place: Place, end: str | LinkEnd) -> Endpoint | None:
        if isinstance(end, LinkEnd):
            return Endpoint(end.node, end.interface, end.vars)
        node, colon, interface = end.partition(":")
        if not (node and colon and interface) or ":" in interface:
            self.problem(place, f"{end!r} is not an endpoint; allowed: NODE:INTERFACE")
            return None
        return Endpoint(node, interface)

    def _digest(self, nodes: tuple[NodeSpec, ...]) -> str:
        digest = hashlib.sha256(self.text.encode())
        for source in sorted({bind.source for node in nodes for bind in node.binds}):
            if source.is_file():
                digest.update(str(source).encode() + b"\0" + source.read_bytes())
        return digest.hexdigest()
