"""The lab process's control socket: what can be asked of a running lab."""

from __future__ import annotations

import array
import os
import select
import signal
import socket
import threading
from collections.abc import Callable
from typing import Any

import msgspec

from controller.errors import HeraldError
from labs.runtimes import namespaces
from labs.runtimes.bring_up import Lab
from labs.runtimes.children import Child
from labs.runtimes.errors import LabChangedError, UnknownProcessError
from labs.runtimes.wire import Line, Progress, Request, error_line, send_line

REQUEST_LIMIT = 1 << 20
"""Bytes of a request at most."""


class Control:
    """Answers requests, each connection in a thread of its own; ``end`` ends the lab."""

    def __init__(self, lab: Lab, end: Callable[[], None]) -> None:
        self._lab = lab
        self._end = end
        self._changing = threading.Lock()
        path = lab.paths.control
        self._server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self._server.bind(str(path))
        path.chmod(0o600)
        self._server.listen(64)

    def serve_for_ever(self) -> None:
        """Accept callers until the process ends."""
        while True:
            caller, _ = self._server.accept()
            threading.Thread(target=self._serve, args=(caller,), name="control", daemon=True).start()

    def _serve(self, caller: socket.socket) -> None:
        with caller:
            try:
                request, descriptors = receive(caller)
            except (OSError, msgspec.MsgspecError):
                return
            held = request.op == "hold"
            try:
                answer = Line(result={} if held else self._answer(request, descriptors, caller))
            except HeraldError as error:
                answer = error_line(error)
            finally:
                for descriptor in descriptors:
                    os.close(descriptor)
            try:
                send_line(caller, answer)
            except OSError:  # the caller has gone; nobody wants the answer
                return
            if held:
                _wait_gone(caller)
                with self._changing:
                    self._lab.stop(lambda _: None)
        if held or request.op == "down":
            self._end()

    def _answer(self, request: Request, descriptors: list[int], caller: socket.socket) -> Any:
        if request.op == "status":
            return self._status()
        if request.op == "exec":
            return self._exec(request, descriptors, caller)
        if request.op == "signal":
            self._lab.supervisor.signal(request.name, request.number)
            return {}
        with self._changing:
            if request.op == "restart":
                self._lab.restart(request.name)
                return {"restarted": [request.name]}
            if request.op == "up":
                return self._reconcile(request.digest, caller)
            if request.op == "down":
                self._lab.stop(lambda p: _tell(caller, Line(progress=p)))
                return {}
        raise UnknownProcessError(f"the lab process does not know the request {request.op!r}")

    def _status(self) -> dict[str, Any]:
        supervisor, rows = self._lab.supervisor, []
        for name in supervisor.names():
            state, pid, detail = supervisor.state(name)
            spec = supervisor.spec(name)
            row = {"name": name, "state": state, "pid": pid, "detail": detail}
            rows.append({**row, "log": str(spec.log), "node": spec.node})
        return {
            "digest": self._lab.plan.topology.digest,
            "privilege": self._lab.plan.privilege.value,
            "processes": rows,
        }

    def _reconcile(self, digest: str, caller: socket.socket) -> dict[str, Any]:
        if digest != self._lab.plan.topology.digest:
            name = self._lab.plan.topology.name
            raise LabChangedError(
                f"lab {name} runs with another topology (its file, variables or bound files have changed): "
                f"herald lab down {name} first, or herald lab up --reconfigure to start over"
            )
        dead = [n for n in self._lab.supervisor.names() if self._lab.supervisor.state(n)[0] == "dead"]
        for count, name in enumerate(dead):
            _tell(caller, Line(progress=Progress("restarting", count, len(dead))))
            self._lab.restart(name)
        self._lab.report = lambda progress: _tell(caller, Line(progress=progress))
        warnings = self._lab.finish()
        return {"restarted": dead, "warnings": warnings, "instance": self._lab.paths.instance}

    def _exec(self, request: Request, descriptors: list[int], caller: socket.socket) -> dict[str, Any]:
        lab = self._lab
        if request.name not in lab.nodes:
            raise UnknownProcessError(f"no node {request.name!r}: there are {', '.join(lab.nodes)}")
        if len(descriptors) != 3 or not request.argv:
            raise UnknownProcessError("exec needs a command and three descriptors")
        stdin, stdout, stderr = descriptors

        def spawn() -> Child:
            return lab.children.spawn(
                request.argv, env=lab.env, stdin=stdin, stdout=stdout, stderr=stderr, cwd="/"
            )

        try:
            child = namespaces.inside(lab.nodes[request.name].space, spawn)
        except OSError as error:
            raise UnknownProcessError(
                f"node {request.name}: cannot run {request.argv[0]}: {error.strerror}"
            ) from error
        threading.Thread(target=_end_with, args=(caller, child), name="exec", daemon=True).start()
        child.ended.wait()
        return {"status": child.status}


def receive(caller: socket.socket) -> tuple[Request, list[int]]:
    """Read one request and the descriptors beside it; OSError or MsgspecError when it is none."""
    room = array.array("i").itemsize * 3
    data, ancillary, _, _ = caller.recvmsg(65536, socket.CMSG_SPACE(room))
    descriptors = array.array("i")
    for level, kind, content in ancillary:
        if level == socket.SOL_SOCKET and kind == socket.SCM_RIGHTS:
            descriptors.frombytes(content[: len(content) - len(content) % descriptors.itemsize])
    while data and not data.endswith(b"\n") and len(data) < REQUEST_LIMIT:
        more = caller.recv(65536)
        if not more:
            break
        data += more
    return msgspec.json.decode(data, type=Request), list(descriptors)


def _tell(caller: socket.socket, line: Line) -> None:
    try:
        send_line(caller, line)
    except OSError:  # whoever asked has gone; what was asked goes on
        return


def _wait_gone(caller: socket.socket) -> None:
    """Wait until the caller has closed its side, or has died."""
    poll = select.poll()
    poll.register(caller, select.POLLRDHUP | select.POLLHUP)
    poll.poll()


def _end_with(caller: socket.socket, child: Child) -> None:
    """End a command whose caller has gone."""
    poll = select.poll()
    poll.register(caller, select.POLLRDHUP | select.POLLHUP)
    while not child.ended.is_set():
        if poll.poll(200) and not child.ended.is_set():
            child.signal(signal.SIGTERM)
            if not child.ended.wait(2.0):
                child.signal(signal.SIGKILL)
            return
