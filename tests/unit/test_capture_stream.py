"""The protocol of ``capture.sock``: server and client of it in one process, without any ring."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.observe.capture_protocol import (
    FrameBuffer,
    Request,
    Stats,
    StatsAnswer,
    SyncAnswer,
    encode_frame,
)
from controller.observe.capture_server import CaptureServer, Reader
from controller.observe.errors import (
    CaptureBehindError,
    CaptureGarbledError,
    CaptureGoneError,
    CaptureStartError,
)
from controller.observe.event import CaptureStats, Event
from controller.observe.event_log import EventLog
from controller.observe.stream import CaptureStream, fetch_events


def event(raw: bytes = b"x") -> Event:
    return Event(0, 0, "a", "b", "10.0.0.1", "10.0.0.2", 1, 2, "update", raw=raw)


class Server:
    """A server that is run by a thread; ``append`` is done by that thread, too."""

    def __init__(self, path: Path, limit: int = 1000) -> None:
        self.path = path
        self.log = EventLog(limit)
        self._epoll = select.epoll()
        self._server = CaptureServer(path, self.log, self._epoll, self._ask)
        self._wake, self._waker = socket.socketpair()
        self._epoll.register(self._wake.fileno(), select.EPOLLIN)
        self._todo: list[Event] = []
        self._done = threading.Event()
        self._stop = False
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def append(self, *events: Event) -> None:
        self._done.clear()
        self._todo.extend(events)
        self._waker.send(b"x")
        assert self._done.wait(5)

    def close(self) -> None:
        self._stop = True
        self._waker.send(b"x")
        self._thread.join()
        for part in (self._epoll, self._wake, self._waker):
            part.close()

    def _ask(self, reader: Reader, request: Request) -> None:
        stats = CaptureStats(0, 0, 0, self.log.last_seq, 0, 0, self.log.let_go)
        if isinstance(request, Stats):
            reader.answer(StatsAnswer(stats))
        else:
            reader.answer(SyncAnswer(stats), stats.last_seq)

    def _run(self) -> None:
        while not self._stop:
            for descriptor, _ in self._epoll.poll():
                if descriptor == self._wake.fileno():
                    self._wake.recv(1)
                    while self._todo:
                        self.log.append(self._todo.pop(0))
                    self._done.set()
                else:
                    self._server.handle(descriptor)
            self._server.pump()
        self._server.close()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path / "c.sock")
    yield made
    made.close()


def test_events_come_in_order_from_where_the_reader_says(server: Server) -> None:
    server.append(*[event() for _ in range(700)])
    events, stats = fetch_events(server.path, 10)
    assert [e.seq for e in events] == list(range(11, 701))
    assert stats.last_seq == 700


def test_questions_and_events_on_one_connection_do_not_mix(server: Server) -> None:
    with CaptureStream(server.path) as stream:
        stream.subscribe(0)
        server.append(event(), event())
        assert stream.stats().last_seq == 2
        assert stream.sync().last_seq == 2
        assert [e.seq for e in stream.read_available()] == [1, 2]
        assert stream.read_available() == []
        server.append(event())
        assert select.select([stream], [], [], 5)[0]
        assert [e.seq for e in stream.read_available()] == [3]


def test_events_end_at_the_deadline_and_go_on(server: Server) -> None:
    server.append(event())
    with CaptureStream(server.path) as stream:
        assert [e.seq for e in stream.events(0, timeout=0.1)] == [1]
        server.append(event())
        assert next(stream.events(timeout=5)).seq == 2


def test_what_is_no_longer_kept_is_counted(tmp_path: Path) -> None:
    server = Server(tmp_path / "c.sock", limit=100)
    try:
        server.append(*[event() for _ in range(150)])
        with CaptureStream(server.path) as stream:
            first = next(stream.events(0, timeout=5))
            assert stream.let_go == first.seq - 1 > 0
            assert stream.stats().let_go == stream.let_go
    finally:
        server.close()


def test_a_reader_that_does_not_read_is_let_go_and_the_others_are_served(tmp_path: Path) -> None:
    server = Server(tmp_path / "c.sock", limit=100)
    try:
        with CaptureStream(server.path) as slow:
            slow.subscribe(0)
            slow.stats()
            for _ in range(20):
                server.append(*[event(b"x" * 20_000) for _ in range(100)])
            assert fetch_events(server.path)[1].last_seq == 2000
            with pytest.raises(CaptureBehindError, match="too slow"):
                list(slow.events(timeout=5))
    finally:
        server.close()


def test_nonsense_is_refused_with_a_reason(server: Server) -> None:
    for body in (b"\xff\xff\xff\xff", b"\0\0\0\x01\xc0", encode_frame(Stats()).replace(b"stats", b"steal")):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.connect(str(server.path))
            sock.settimeout(5)
            sock.sendall(body)
            answer = b""
            while data := sock.recv(4096):
                answer += data
            assert b"refused" in answer
    with CaptureStream(server.path) as stream:
        stream.subscribe(0)
        stream.subscribe(0)
        with pytest.raises(CaptureGarbledError, match="subscribed already"):
            stream.stats()


def test_a_capture_that_is_not_there_or_ends_is_gone(tmp_path: Path) -> None:
    with pytest.raises(CaptureGoneError, match="no capture at"):
        CaptureStream(tmp_path / "none.sock")
    server = Server(tmp_path / "c.sock")
    stream = CaptureStream(server.path)
    server.append(event())
    stream.subscribe(0)
    stream.stats()
    server.close()
    events = stream.events(timeout=5)
    assert next(events).seq == 1
    with pytest.raises(CaptureGoneError, match="has ended"):
        next(events)
    stream.close()


def test_a_socket_that_was_left_is_replaced_and_a_file_is_not(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "c.sock"))
    left.close()
    Server(tmp_path / "c.sock").close()
    (tmp_path / "c.sock").write_text("a file")
    with pytest.raises(CaptureStartError, match="cannot listen"):
        CaptureServer(tmp_path / "c.sock", EventLog(1), select.epoll(), lambda _reader, _request: None)


def test_frames_are_cut_wherever_they_are_split() -> None:
    frames, stream = FrameBuffer(), encode_frame(Stats()) * 3
    bodies = [body for byte in stream for body in frames.feed(bytes([byte]))]
    assert bodies == [encode_frame(Stats())[4:]] * 3
