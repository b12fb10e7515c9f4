"""Serve an ASGI application on a unix socket or TCP, and end in order on SIGTERM.

Agents and machines start often: this imports uvicorn and Starlette only, and neither FastAPI nor a client.
Bodies are the msgspec structs of :mod:`controller.transport.messages`.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket as sockets
from collections.abc import Callable, Generator
from pathlib import Path
from typing import Any, TypeVar, get_args

import msgspec
import uvicorn
from starlette.requests import Request
from starlette.responses import Response

from controller.locations import SOCKET_PATH_LIMIT
from controller.transport.errors import TransportAddressError, TransportGarbledError
from controller.transport.http_protocol import DeadlineProtocol
from controller.transport.tls import ServerTls

GRACE_S = 2
"""Seconds that requests in flight may take once the server is to end."""

T = TypeVar("T")


def json_response(value: Any, status: int = 200) -> Response:
    """Answer with a msgspec struct (bytes in base64)."""
    return Response(msgspec.json.encode(value), status_code=status, media_type="application/json")


def problem(status: int, message: str) -> Response:
    """Answer with an error of one line: ``{"error": message}``."""
    return json_response({"error": message}, status)


async def read_body(request: Request, type_: type[T]) -> T:
    """Decode a request's body strictly; raises :class:`TransportGarbledError` that names the field."""
    try:
        return msgspec.json.decode(await request.body(), type=type_, strict=True)
    except msgspec.MsgspecError as error:
        raise TransportGarbledError(f"the body is not a {_named(type_)}: {error}") from error


def _named(type_: object) -> str:
    return (
        f"list of {_named(get_args(type_)[0])}" if get_args(type_) else getattr(type_, "__name__", str(type_))
    )


@contextlib.contextmanager
def listening(path: Path) -> Generator[sockets.socket, None, None]:
    """Listen on a unix socket (mode 0600; a stale one is replaced) for several servers, one after another.

    Whoever calls when one has ended waits for the next. Raises :class:`TransportAddressError` when the
    address cannot be used.
    """
    listener = _listen_unix(path)
    try:
        yield listener
    finally:
        listener.close()
        _remove_ours(path)


async def serve_app(
    app: Any,
    *,
    socket: Path | sockets.socket | None = None,
    host: str | None = None,
    port: int | None = None,
    tls: ServerTls | None = None,
    ready: Callable[[], None],
    stop: asyncio.Event | None = None,
    on_stop: Callable[[], None] | None = None,
) -> None:
    """Serve ``app`` (ASGI) until SIGTERM or SIGINT, and return once requests in flight are answered.

    Give either ``socket`` (a path as for :func:`listening`, or what that gave) or ``host`` and ``port``.
    ``ready`` is called once when connections are accepted. With ``stop`` the event ends the server instead
    of signals. ``on_stop`` is called first when it is to end: wake long polls there, since requests that
    take longer than :data:`GRACE_S` are cancelled. Cancelling the caller ends the server, too.

    With ``tls`` connections are TLS. What a proxy says of who calls is not believed: anybody could say it.

    Raises :class:`TransportAddressError` when the address cannot be used.
    """
    if isinstance(socket, Path):
        with listening(socket) as listener:
            await serve_app(app, socket=listener, tls=tls, ready=ready, stop=stop, on_stop=on_stop)
        return
    # A copy is served, since the server closes what it is given.
    listener = _listen_tcp(host or "127.0.0.1", port or 0) if socket is None else socket.dup()  # noqa: ASYNC240
    ending = stop or asyncio.Event()
    loop = asyncio.get_running_loop()
    if stop is None:
        for signum in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(signum, ending.set)
    config = uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        lifespan="on",
        ws="none",
        loop="asyncio",
        timeout_graceful_shutdown=GRACE_S,
        http=DeadlineProtocol,
        proxy_headers=False,
    )
    config.load()
    config.ssl = None if tls is None else tls.context
    try:
        await _Server(config, ending, ready, on_stop).serve(sockets=[listener])
    finally:
        listener.close()
        if stop is None:
            for signum in (signal.SIGTERM, signal.SIGINT):
                loop.remove_signal_handler(signum)


class _Server(uvicorn.Server):
    """uvicorn, told to end by an event instead of by its own signal handlers and ten ticks a second."""

    def __init__(
        self,
        config: uvicorn.Config,
        ending: asyncio.Event,
        ready: Callable[[], None],
        on_stop: Callable[[], None] | None,
    ) -> None:
        super().__init__(config)
        self._ending = ending
        self._ready = ready
        self._on_stop = on_stop

    @contextlib.contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        yield

    async def main_loop(self) -> None:
        await self.on_tick(0)
        self._ready()
        await self._ending.wait()
        if self._on_stop is not None:
            self._on_stop()


def refuse_taken(path: Path) -> None:
    """Raise :class:`TransportAddressError` if somebody already listens on the unix socket ``path``."""
    if path.is_socket() and _answers(path):
        raise TransportAddressError(f"somebody already listens on {path}: end that process first")


def _listen_unix(path: Path) -> sockets.socket:
    if len(os.fsencode(path)) > SOCKET_PATH_LIMIT:
        raise TransportAddressError(
            f"socket path {path} is longer than {SOCKET_PATH_LIMIT} bytes: choose a shorter folder"
        )
    refuse_taken(path)
    listener = sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM)
    # Bound under another name and then renamed: whoever sees the name finds a listener with mode 0600.
    fresh = path.with_name(f"{path.name}.{os.getpid()}")
    if len(os.fsencode(fresh)) > SOCKET_PATH_LIMIT:
        fresh = path.with_name(f".{os.getpid()}")
    try:
        fresh.unlink(missing_ok=True)
        listener.bind(str(fresh))
        fresh.chmod(0o600)
        listener.listen(512)
        listener.setblocking(False)
        fresh.rename(path)
    except OSError as error:
        listener.close()
        fresh.unlink(missing_ok=True)
        raise TransportAddressError(f"cannot listen on {path}: {error.strerror}") from error
    return listener


def _listen_tcp(host: str, port: int) -> sockets.socket:
    try:
        family = sockets.getaddrinfo(host, port, type=sockets.SOCK_STREAM)[0][0]
        listener = sockets.create_server((host, port), family=family, backlog=512)
    except OSError as error:
        raise TransportAddressError(f"cannot listen on {host}:{port}: {error.strerror}") from error
    # Accepted connections inherit it; asyncio sets it by itself only on sockets that name their protocol.
    listener.setsockopt(sockets.IPPROTO_TCP, sockets.TCP_NODELAY, 1)
    return listener


def _answers(path: Path) -> bool:
    with sockets.socket(sockets.AF_UNIX, sockets.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(str(path))
        except (ConnectionError, FileNotFoundError):
            return False
        except OSError:
            return True  # a full queue or no permission: somebody is there
    return True


def _remove_ours(path: Path) -> None:
    """Remove the socket file unless a later process has put its own in its place."""
    with contextlib.suppress(FileNotFoundError):
        if path.is_socket() and not _answers(path):
            path.unlink()
