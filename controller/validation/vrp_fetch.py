"""Fetches VRP exports from a file or over HTTP, again and again."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path
from typing import NoReturn

import httpx

from controller.validation.config import ValidationConfig
from controller.validation.errors import ExportError, LookUpError
from controller.validation.feeds import Feed
from controller.validation.vrp_export import Export, read_export

LARGEST = 256 << 20
"""Octets of an export that are taken; the whole world's has some 80 MiB."""


async def fetch(source: str, timeout_s: float) -> bytes:
    """Return the export at ``source``, a path or an HTTP URL; raises :class:`ExportError`."""
    if not source.startswith(("http://", "https://")):
        return await asyncio.to_thread(_read_file, source)
    body = bytearray()
    try:
        async with (
            asyncio.timeout(timeout_s),
            httpx.AsyncClient(follow_redirects=True, timeout=timeout_s) as client,
            client.stream("GET", source) as answer,
        ):
            if answer.status_code != httpx.codes.OK:
                raise ExportError(f"{source} answered with status {answer.status_code}")
            async for part in answer.aiter_bytes():
                body += part
                if len(body) > LARGEST:
                    raise ExportError(f"{source} gives more than {LARGEST} octets")
    except TimeoutError as error:
        raise ExportError(f"{source} did not answer within {timeout_s:g} s") from error
    except (httpx.HTTPError, httpx.InvalidURL) as error:
        raise ExportError(f"{source} cannot be fetched: {error or type(error).__name__}") from error
    return bytes(body)


def _read_file(source: str) -> bytes:
    try:
        with Path(source).open("rb") as file:
            body = file.read(LARGEST + 1)
    except (OSError, ValueError) as error:
        raise ExportError(f"{source} cannot be read: {getattr(error, 'strerror', error)}") from error
    if len(body) > LARGEST:
        raise ExportError(f"{source} has more than {LARGEST} octets")
    return body


async def follow(feed: Feed, config: ValidationConfig) -> NoReturn:
    """Keep ``feed`` as the export has it, looking every ``vrp_interval_s``, after a failure ``retry_s``."""
    while True:
        wait = config.vrp_interval_s
        try:
            body = await fetch(feed.source, config.vrp_timeout_s)
            export = await asyncio.to_thread(read_export, body, feed.source)
            taken = feed.offer(
                export.vrps, lasts_s(export, feed.source, config.vrp_expire_s, datetime.now(UTC))
            )
        except LookUpError as error:
            feed.troubled(error)
            taken = False
        if not taken:
            wait = min(wait, config.retry_s)
        await asyncio.sleep(wait)


def lasts_s(export: Export, source: str, longest_s: float, now: datetime) -> float:
    """Return for how many seconds an export may be used: a file that nobody renews ages, too.

    Raises :class:`ExportError` for one that is too old already.
    """
    if export.built_at is None:
        return longest_s
    age = (now - export.built_at).total_seconds()
    if age >= longest_s:
        raise ExportError(
            f"{source} was built at {export.built_at:%Y-%m-%d %H:%M UTC}, over {longest_s:g} s ago"
        )
    return min(longest_s - age, longest_s)
