"""ExaBGP's API process: ``python -m controller.speakers.exabgp_pipe SOCKET`` (standard library only).

ExaBGP writes acknowledgements and events to our stdin and reads commands from our stdout. A helper that
lives and does not read its stdin stops ExaBGP's loop, and the hold timer then costs every session
(measured). So this process reads at all times, whatever agents do, and *relays*:

- one agent at a time, over the unix socket SOCKET (mode 0600); a newer one takes the place of an older;
- a new agent is greeted (:data:`GREETING`) only when every command of the one before has been answered,
  so that no acknowledgement is ever taken for another's;
- commands go to ExaBGP by whole lines: what a killed agent had half written is dropped;
- ExaBGP's answers go to the agent through a bounded buffer; an agent that does not read (stopped, say)
  is disconnected when it is full. It sees that, and attaches anew; no acknowledgement is lost in silence;
- ExaBGP's own events (JSON lines) are read and dropped: Herald looks at real peers instead.

It never ends with an agent; it ends when ExaBGP closes its pipe.
"""

from __future__ import annotations

import os
import selectors
import socket
import sys
from pathlib import Path

GREETING = b"herald-exabgp-pipe 1\n"
ANSWERS = (b"done", b"error")
EVENT = b'{ "exabgp"'
"""How ExaBGP's event lines begin."""

RESYNC = b" version\n"
"""Sent once at the start: completes, and spoils, a line that a killed helper had half written."""

MAX_LINE = 1 << 20
"""Bytes of a command line that ExaBGP accepts."""

BACKLOG = 8 << 20
"""Bytes that an agent may leave unread before it is disconnected."""

CHUNK = 1 << 16


class Agent:
    """One connected agent: what it has half written, and what it has not read yet."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self.connection = connection
        self.greeted = False
        self.partial = b""
        self.unsent = bytearray()


class Relay:
    """The helper's state and its one loop."""

    def __init__(self, listener: socket.socket, source: int, sink: int) -> None:
        os.set_blocking(source, False)
        os.set_blocking(sink, False)
        listener.setblocking(False)
        self.listener = listener
        self.source = source
        self.sink = sink
        self.agent: Agent | None = None
        self.partial = b""
        self.commands = bytearray(RESYNC)
        self.unanswered = 1
        self.selector = selectors.DefaultSelector()
        self.selector.register(source, selectors.EVENT_READ)
        self.selector.register(listener, selectors.EVENT_READ)

    def run(self) -> None:
        """Relay until ExaBGP closes its pipe."""
        while True:
            self._watch(self.sink, selectors.EVENT_WRITE if self.commands else 0)
            self._watch_agent()
            for key, events in self.selector.select():
                if key.fd == self.source:
                    if not self._read_exabgp():
                        return
                elif key.fd == self.sink:
                    if not self._write_exabgp():
                        return
                elif key.fd == self.listener.fileno():
                    self._accept()
                elif self.agent is not None and key.fd == self.agent.connection.fileno():
                    self._serve_agent(self.agent, events)

    def _watch(self, fd: int, events: int) -> None:
        known = fd in self.selector.get_map()
        if events and known:
            self.selector.modify(fd, events)
        elif events:
            self.selector.register(fd, events)
        elif known:
            self.selector.unregister(fd)

    def _watch_agent(self) -> None:
        agent = self.agent
        if agent is None:
            return
        if not agent.greeted and self.unanswered == 0:
            agent.greeted = True
            agent.unsent += GREETING
        # Read even before the greeting: it is how the end of the connection is seen. While ExaBGP has not
        # taken the last commands no more are read; a full line may exceed CHUNK.
        hungry = selectors.EVENT_READ if len(self.commands) < CHUNK else 0
        self._watch(agent.connection.fileno(), hungry | (selectors.EVENT_WRITE if agent.unsent else 0))

    def _read_exabgp(self) -> bool:
        try:
            data = os.read(self.source, CHUNK)
        except BlockingIOError:
            return True
        if not data:
            return False
        *lines, self.partial = (self.partial + data).split(b"\n")
        agent = self.agent
        for line in lines:
            if line.startswith(EVENT):
                continue
            if agent is not None and agent.greeted:
                agent.unsent += line + b"\n"
            if line in ANSWERS:
                self.unanswered = max(0, self.unanswered - 1)
        if agent is not None and len(agent.unsent) > BACKLOG:
            self._drop("it does not read")
        return True

    def _write_exabgp(self) -> bool:
        try:
            written = os.write(self.sink, self.commands[:CHUNK])
        except BlockingIOError:
            return True
        except BrokenPipeError:
            return False
        del self.commands[:written]
        return True

    def _accept(self) -> None:
        try:
            connection, _ = self.listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        if self.agent is not None:
            self._drop("another took its place")
        self.agent = Agent(connection)

    def _serve_agent(self, agent: Agent, events: int) -> None:
        try:
            if events & selectors.EVENT_WRITE and agent.unsent:
                del agent.unsent[: agent.connection.send(agent.unsent[:CHUNK])]
            if events & selectors.EVENT_READ:
                data = agent.connection.recv(CHUNK)
                if not data:
                    self._drop("it went")
                    return
                self._take(agent, data)
        except BlockingIOError:
            return
        except OSError as error:
            self._drop(str(error))

    def _take(self, agent: Agent, data: bytes) -> None:
        *lines, agent.partial = (agent.partial + data).split(b"\n")
        if lines and not agent.greeted:
            self._drop("it spoke before it was greeted")
            return
        for line in lines:
            self.commands += line + b"\n"
            self.unanswered += 1
        if len(agent.partial) > MAX_LINE:
            self._drop("its line is longer than 1 MiB")

    def _drop(self, reason: str) -> None:
        if self.agent is None:
            return
        self._watch(self.agent.connection.fileno(), 0)
        self.agent.connection.close()
        self.agent = None
        print(f"exabgp_pipe: agent let go: {reason}", file=sys.stderr, flush=True)


def listen(path: Path) -> socket.socket:
    """Return a listener at ``path``, mode 0600, in place of whatever a helper before left there."""
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    listener.bind(str(fresh))
    fresh.chmod(0o600)
    listener.listen(8)
    fresh.rename(path)
    return listener


def main() -> int:
    """Run the helper on stdin and stdout."""
    if len(sys.argv) != 2:
        print("usage: python -m controller.speakers.exabgp_pipe SOCKET", file=sys.stderr)
        return 2
    try:
        listener = listen(Path(sys.argv[1]))
    except OSError as error:
        print(f"exabgp_pipe: cannot listen on {sys.argv[1]}: {error.strerror}", file=sys.stderr)
        return 1
    Relay(listener, sys.stdin.fileno(), sys.stdout.fileno()).run()
    return 0


if __name__ == "__main__":
    sys.exit(main())
