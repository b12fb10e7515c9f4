"""Asks a whois server over TCP (RFC 3912)."""

from __future__ import annotations

import asyncio

from controller.bgp import Prefix
from controller.validation.config import endpoint
from controller.validation.errors import WhoisError
from controller.validation.rpsl import RouteObject
from controller.validation.whois import LARGEST, question, read_answer


async def ask(server: str, prefix: Prefix, timeout_s: float) -> tuple[RouteObject, ...]:
    """Return the route objects that ``server`` (``HOST:PORT``) gives for ``prefix``, within ``timeout_s``.

    Raises :class:`WhoisError` or :class:`~controller.validation.errors.RpslError`; a server that never ends
    its answer is one that has not answered.
    """
    try:
        async with asyncio.timeout(timeout_s):
            body = await _exchange(server, question(prefix))
    except TimeoutError as error:
        raise WhoisError(f"{server} did not answer within {timeout_s:g} s") from error
    except OSError as error:
        raise WhoisError(f"{server} cannot be asked: {error.strerror or error}") from error
    return read_answer(body, server)


async def _exchange(server: str, asked: bytes) -> bytes:
    reader, writer = await asyncio.open_connection(*endpoint(server))
    try:
        writer.write(asked)
        await writer.drain()
        body = bytearray()
        while len(body) <= LARGEST and (part := await reader.read(1 << 16)):
            body += part
        return bytes(body)
    finally:
        writer.transport.abort()
