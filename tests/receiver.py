"""A webhook's receiver on loopback: a real HTTP server that answers as it is told, and keeps what came."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from standardwebhooks import Webhook

from controller.timeline.bell import Bell
from controller.timeline.dispatch import Dispatcher
from controller.timeline.policy import WebhookPolicy
from tests.addressing_api import Api

DEADLINE_S = 20.0
LAB = WebhookPolicy(private_targets=True, first_delay_s=0.02, longest_delay_s=0.1, timeout_s=5.0)


@dataclass(frozen=True)
class Received:
    headers: dict[str, str]
    body: bytes
    answered: int

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def type(self) -> str:
        return str(json.loads(self.body)["type"])

    @property
    def account_id(self) -> str:
        return str(json.loads(self.body)["data"]["account_id"])

    def verified(self, secret: str) -> Any:
        """Return the payload; raises unless the library finds the signature right."""
        return Webhook(secret).verify(self.body, self.headers)


class Receiver:
    """``answers`` are used up one by one, then 200; a callable is asked, and may take its time."""

    def __init__(self, *answers: int | Callable[[], int], headers: dict[str, str] | None = None) -> None:
        self.answers = list(answers)
        self.extra = headers or {}
        self.received: list[Received] = []
        self.changed = threading.Condition()
        self.port = 0
        self._server: ThreadingHTTPServer | None = None
        self.up()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/hook"

    def up(self) -> None:
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                receiver.answer(self)

            def log_message(self, format: str, *args: object) -> None:  # noqa: A002
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", self.port), Handler)
        self.port = self._server.server_port
        threading.Thread(target=self._server.serve_forever, args=(0.01,), daemon=True).start()

    def down(self) -> None:
        if self._server is not None:
            self._server.shutdown()
            self._server.server_close()
            self._server = None

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["content-length"]))
        with self.changed:
            answer = self.answers.pop(0) if self.answers else 200
        status = answer if isinstance(answer, int) else answer()
        with self.changed:
            headers = {k.lower(): v for k, v in request.headers.items()}
            self.received.append(Received(headers, body, status))
            self.changed.notify_all()
        with contextlib.suppress(OSError):  # who asked may be gone by now
            request.send_response(status)
            for name, value in self.extra.items():
                request.send_header(name, value)
            request.send_header("content-length", "0")
            request.end_headers()

    def wait(self, wanted: Callable[[list[Received]], bool]) -> list[Received]:
        with self.changed:
            assert self.changed.wait_for(lambda: wanted(self.received), DEADLINE_S), self.types()
            return list(self.received)

    def wait_for(self, count: int) -> list[Received]:
        return self.wait(lambda found: len(found) >= count)

    def types(self) -> list[str]:
        return [r.type for r in self.received]


@contextlib.contextmanager
def sending(api: Api, policy: WebhookPolicy = LAB) -> Iterator[None]:
    """Let a real dispatcher send what the API's accounts are told, until the block ends."""
    bell = Bell()
    api.app.state.context = replace(api.app.state.context, on_write=bell.ring, webhooks=policy)
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    running = asyncio.run_coroutine_threadsafe(Dispatcher(api.store, policy, bell).run(), loop)
    try:
        yield
    finally:
        running.cancel()

        async def rest() -> None:
            others = asyncio.all_tasks() - {asyncio.current_task()}
            if others:
                await asyncio.wait(others)

        asyncio.run_coroutine_threadsafe(rest(), loop).result(DEADLINE_S)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(DEADLINE_S)
        loop.close()
