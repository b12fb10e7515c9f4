"""A bare HTTP server that answers every request with the same bytes; its arguments: socket, size."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Any

from controller.transport.http_server import serve_app


async def _serve(socket: Path, size: int) -> None:
    body = b"[" + b"1" * (size - 2) + b"]"

    async def app(scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            while (await receive())["type"] != "lifespan.shutdown":
                await send({"type": "lifespan.startup.complete"})
            await send({"type": "lifespan.shutdown.complete"})
            return
        while (await receive()).get("more_body", False):
            pass
        headers = [(b"content-type", b"application/json"), (b"content-length", str(size).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    await serve_app(app, socket=socket, ready=lambda: print("ready", flush=True))


if __name__ == "__main__":
    asyncio.run(_serve(Path(sys.argv[1]), int(sys.argv[2])))
