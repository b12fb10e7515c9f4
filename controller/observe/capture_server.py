"""The capture's readers: one unix socket, many connections, none of which can hold the capture up.

Events are not copied per reader: each has a place in the log, and is sent more when its socket takes more.
A reader so slow that its next events are no longer kept is told so, and disconnected.
"""

from __future__ import annotations

import select
import socket
import stat
from collections import deque
from collections.abc import Callable
from pathlib import Path

from controller.observe.capture_protocol import (
    Answer,
    FrameBuffer,
    LetGo,
    RawEvents,
    Refused,
    Request,
    Subscribe,
    decode_request,
    encode_frame,
)
from controller.observe.errors import CaptureGarbledError, CaptureStartError
from controller.observe.event_log import EventLog

BATCH_EVENTS = 256
OUTBOX_BYTES = 256 << 10
"""Bytes that wait for one reader at most, beside one batch."""
_BACKLOG = 128


class Reader:
    """One connection."""

    def __init__(self, sock: socket.socket) -> None:
        self.sock = sock
        self.incoming = FrameBuffer()
        self.outbox = bytearray()
        self.sent: int | None = None  # the last event sent; None: no subscription
        self.answers: deque[tuple[int, bytes]] = deque()
        self.ending = False
        self.writing = False

    def answer(self, answer: Answer, after_seq: int = 0) -> None:
        """Send an answer, to a subscriber not before all events up to ``after_seq``."""
        self.answers.append((after_seq, encode_frame(answer)))


class CaptureServer:
    """The listening socket and its readers; ``ask`` is given each request but ``subscribe``.

    Raises :class:`CaptureStartError` when the socket cannot be made.
    """

    def __init__(
        self, path: Path, log: EventLog, epoll: select.epoll, ask: Callable[[Reader, Request], None]
    ) -> None:
        self._path = path
        self._log = log
        self._epoll = epoll
        self._ask = ask
        self._readers: dict[int, Reader] = {}
        self._listener = _listen(path)
        epoll.register(self._listener.fileno(), select.EPOLLIN)

    def handle(self, descriptor: int) -> bool:
        """Take what happened on a descriptor; tell whether it is one of ours."""
        if descriptor == self._listener.fileno():
            self._accept()
            return True
        reader = self._readers.get(descriptor)
        if reader is not None:
            self._receive(reader)
        return reader is not None

    def pump(self) -> None:
        """Send each reader as much as its socket takes."""
        for reader in list(self._readers.values()):
            self._send(reader)

    def close(self) -> None:
        """Send what can be sent at once, then end all connections and remove the socket."""
        self.pump()
        for reader in list(self._readers.values()):
            self._drop(reader)
        self._epoll.unregister(self._listener.fileno())
        self._listener.close()
        self._path.unlink(missing_ok=True)

    def _accept(self) -> None:
        try:
            sock, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        sock.setblocking(False)
        self._readers[sock.fileno()] = Reader(sock)
        self._epoll.register(sock.fileno(), select.EPOLLIN)

    def _receive(self, reader: Reader) -> None:
        try:
            data = reader.sock.recv(1 << 16)
        except BlockingIOError:
            return
        except ConnectionError:
            data = b""
        if not data:
            self._drop(reader)
            return
        if reader.ending:
            return
        try:
            for body in reader.incoming.feed(data):
                request = decode_request(body)
                if isinstance(request, Subscribe):
                    self._subscribe(reader, request.after)
                else:
                    self._ask(reader, request)
        except CaptureGarbledError as error:
            self._refuse(reader, Refused(str(error)))

    def _subscribe(self, reader: Reader, after: int) -> None:
        if reader.sent is not None:
            self._refuse(reader, Refused("this connection has subscribed already: open another"))
            return
        after = min(max(after, 0), self._log.last_seq)
        missing = self._log.let_go - after
        if missing > 0:
            reader.answer(LetGo(missing))
            after = self._log.let_go
        reader.sent = after

    def _refuse(self, reader: Reader, refused: Refused) -> None:
        reader.outbox += encode_frame(refused)
        reader.ending = True

    def _fill(self, reader: Reader) -> None:
        while len(reader.outbox) < OUTBOX_BYTES and not reader.ending:
            if reader.answers and (reader.sent is None or reader.sent >= reader.answers[0][0]):
                reader.outbox += reader.answers.popleft()[1]
            elif reader.sent is not None and reader.sent < self._log.let_go:
                missing = self._log.let_go - reader.sent
                self._refuse(reader, Refused(f"too slow: the next {missing} events are no longer kept", True))
            elif reader.sent is not None and reader.sent < self._log.last_seq:
                batch = self._log.after(reader.sent, BATCH_EVENTS)
                reader.sent += len(batch)
                reader.outbox += encode_frame(RawEvents(batch))
            else:
                return

    def _send(self, reader: Reader) -> None:
        while True:
            self._fill(reader)
            if not reader.outbox:
                break
            try:
                count = reader.sock.send(reader.outbox, socket.MSG_NOSIGNAL)
            except BlockingIOError:
                break
            except ConnectionError:
                self._drop(reader)
                return
            del reader.outbox[:count]
        if reader.ending and not reader.outbox:
            self._drop(reader)
            return
        waiting = bool(reader.outbox)
        if waiting != reader.writing:
            reader.writing = waiting
            self._epoll.modify(reader.sock.fileno(), select.EPOLLIN | (select.EPOLLOUT if waiting else 0))

    def _drop(self, reader: Reader) -> None:
        self._epoll.unregister(reader.sock.fileno())
        del self._readers[reader.sock.fileno()]
        reader.sock.close()


def _listen(path: Path) -> socket.socket:
    try:
        if path.exists() and stat.S_ISSOCK(path.stat().st_mode):
            path.unlink()  # of a capture that was killed
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_CLOEXEC)
        listener.bind(str(path))
        path.chmod(0o600)
        listener.listen(_BACKLOG)
    except OSError as error:
        raise CaptureStartError(f"cannot listen at {path}: {error.strerror or error}") from error
    listener.setblocking(False)
    return listener
