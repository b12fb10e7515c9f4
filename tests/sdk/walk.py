"""Walks the scenario with the SDK, sync and async, and says of each method whether it kept to its types."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cloudflare
import httpx
from pydantic import BaseModel

from tests.sdk.scenario import Approve, Call, Ground, Scenario, whole_way
from tests.sdk.surface import account_methods, method_at
from tests.sdk.typed import problems

NOT_YET = "not in this version"
NOT_COVERED = "not covered: add it to tests/sdk/scenario.py"
EMPTY = frozenset({"regional_hostnames.regions.list"})
"""Lists of what Herald has none of."""
SPACE = 0xC6120000
"""198.18.0.0/15 (RFC 2544): addresses that are nobody's, for a Herald that runs for others, too."""


@dataclass
class Walked:
    """What was found of one method; ``faults`` is empty when all was well."""

    calls: int = 0
    faults: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Row:
    """One method in the report."""

    method: str
    sync: str
    asynchronous: str
    verdict: str


class Walk:
    """One walk with one client; keeps what was sent raw, since models fill in what is missing."""

    def __init__(self, url: str, token: str) -> None:
        self.options: dict[str, Any] = {
            "api_token": token, "base_url": f"{url}/client/v4", "max_retries": 0, "timeout": 60,
        }  # fmt: skip
        self.operator = httpx.Client(base_url=url, headers={"Authorization": f"Bearer {token}"}, timeout=60)
        self.found: dict[str, Walked] = {}
        self.raw: Any = None

    def ground(self) -> Ground:
        """Make two accounts, and choose addresses that are free."""
        name = secrets.token_hex(4)
        account, other = f"walk-{name}", f"walk-{name}-b"
        for made in (account, other):
            self._operate("/herald/v1/accounts", {"id": made, "name": made})
        self._operate("/herald/v1/services", {"id": "walk", "name": "Walked service"})
        taken: set[int] = set()
        for _ in range(64):
            number = secrets.randbelow(64)
            base = SPACE + (number << 11)
            whole, spare = (f"{_dotted(base + offset)}/23" for offset in (0, 1 << 9))
            if number not in taken and self._is_free(account, whole) and self._is_free(account, spare):
                part = f"{_dotted(base)}/24"
                return Ground(account, other, "walk", whole, part, spare, _dotted(base + 7))
            taken.add(number)
        raise SystemExit("sdk-walk: no free addresses in 198.18.0.0/15: delete what earlier walks left there")

    def sync(self, scenario: Scenario) -> None:
        """Walk with the synchronous client."""

        def keep(response: httpx.Response) -> None:
            response.read()
            self._keep(response)

        with cloudflare.Cloudflare(
            **self.options, http_client=httpx.Client(event_hooks={"response": [keep]})
        ) as client:
            answer: Any = None
            while (call := self._next(scenario, answer)) is not None:
                with self._judged(call):
                    answer = None
                    got = method_at(client.addressing, call.name)(*call.args, **call.given)
                    answer = got.read() if hasattr(got, "read") else list(got) if _is_page(got) else got
                    self._check(call, answer)

    async def asynchronous(self, scenario: Scenario) -> None:
        """Walk with the asynchronous client."""

        async def keep(response: httpx.Response) -> None:
            await response.aread()
            self._keep(response)

        async with cloudflare.AsyncCloudflare(
            **self.options, http_client=httpx.AsyncClient(event_hooks={"response": [keep]})
        ) as client:
            answer: Any = None
            while (call := self._next(scenario, answer)) is not None:
                with self._judged(call):
                    answer = None
                    got = method_at(client.addressing, call.name)(*call.args, **call.given)
                    got = got if _is_page(got) else await got
                    if hasattr(got, "read"):
                        answer = await got.read()
                    else:
                        answer = [item async for item in got] if _is_page(got) else got
                    self._check(call, answer)

    def _next(self, scenario: Scenario, answer: Any) -> Call | None:
        try:
            step = scenario.send(answer)
            while isinstance(step, Approve):
                path = f"/client/v4/accounts/{self._account}/addressing/prefixes/{step.prefix_id}/approve"
                self._operate(path, None)
                step = next(scenario)
        except StopIteration:
            return None
        except (AssertionError, AttributeError, ValueError) as error:
            self._walked(self._last).faults.append(f"what comes after it cannot go on: {error}")
            return None
        self._last = step.name
        self._account = step.given["account_id"]
        return step

    @contextlib.contextmanager
    def _judged(self, call: Call) -> Iterator[None]:
        walked = self._walked(call.name)
        walked.calls += 1
        try:
            with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
                yield
        except cloudflare.APIStatusError as error:
            walked.faults.append(NOT_YET if error.status_code == 501 else str(error)[:200])
        except cloudflare.APIError as error:
            walked.faults.append(f"{type(error).__name__}: {error}"[:200])

    def _check(self, call: Call, answer: Any) -> None:
        walked = self._walked(call.name)
        if isinstance(answer, bytes):
            return
        if isinstance(answer, list):
            results = self.raw["result"]
            if len(results) != len(answer):
                walked.faults.append(f"{len(results)} were sent and {len(answer)} understood")
            if not results and call.name not in EMPTY:
                walked.faults.append("nothing was listed, so that nothing could be checked")
            for item, raw in zip(answer, results, strict=False):
                walked.faults += problems(type(item), raw)
        elif isinstance(answer, BaseModel):
            bare = "success" in type(answer).model_fields
            walked.faults += problems(type(answer), self.raw if bare else self.raw["result"])
        else:
            walked.faults.append(f"it gave {answer!r}, which no model types")

    def _keep(self, response: httpx.Response) -> None:
        media = response.headers.get("Content-Type", "")
        self.raw = json.loads(response.content) if media.startswith("application/json") else None

    def _walked(self, name: str) -> Walked:
        return self.found.setdefault(name, Walked())

    def _operate(self, path: str, body: object) -> Any:
        answer = self.operator.post(path, **({} if body is None else {"json": body}))
        if answer.status_code != 200:
            raise SystemExit(f"sdk-walk: POST {path}: {answer.text}")
        return answer.json()

    def _is_free(self, account: str, cidr: str) -> bool:
        path = f"/client/v4/accounts/{account}/addressing/prefixes?dry_run=true"
        answer = self.operator.post(path, json={"cidr": cidr, "asn": None})
        return answer.status_code == 200


def walk(url: str, token: str) -> list[Row]:
    """Walk twice, sync and async, each on ground of its own; return a row for each account-level method."""
    sync, other = Walk(url, token), Walk(url, token)
    sync.sync(whole_way(sync.ground()))
    asyncio.run(other.asynchronous(whole_way(other.ground())))
    return [_row(name, sync.found.get(name), other.found.get(name)) for name in account_methods()]


def _row(name: str, sync: Walked | None, asynchronous: Walked | None) -> Row:
    both = (sync, asynchronous)
    if any(w is None or w.calls == 0 for w in both):
        return Row(name, _word(sync), _word(asynchronous), NOT_COVERED)
    faults = [fault for w in both if w is not None for fault in w.faults]
    return Row(name, _word(sync), _word(asynchronous), "; ".join(dict.fromkeys(faults)) or "pass")


def _word(walked: Walked | None) -> str:
    if walked is None or walked.calls == 0:
        return "-"
    return "fault" if walked.faults else "ok"


def _is_page(got: Any) -> bool:
    return hasattr(got, "__aiter__") or hasattr(got, "iter_pages") or hasattr(got, "_get_page_items")


def _dotted(address: int) -> str:
    return ".".join(str(address >> shift & 255) for shift in (24, 16, 8, 0))


@contextlib.contextmanager
def own_herald() -> Iterator[tuple[str, str]]:
    """Start ``herald serve`` on a loopback port with a state directory of its own; give URL and token."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with tempfile.TemporaryDirectory(prefix="herald-walk-") as folder:
        process = subprocess.Popen(
            [
                str(Path(sys.executable).with_name("herald")), "serve",
                "--state-dir", folder, "--listen", f"127.0.0.1:{port}",
            ],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        )  # fmt: skip
        try:
            assert process.stdout is not None
            if process.stdout.readline().strip() != "ready":
                raise SystemExit("sdk-walk: herald serve did not get ready: try it by itself")
            yield f"http://127.0.0.1:{port}", (Path(folder) / "operator.token").read_text().strip()
        finally:
            process.terminate()
            process.wait(30)


def table(rows: Sequence[Row]) -> str:
    """Return the report as text, one method a line."""
    width = max(len(row.method) for row in rows)
    lines = [f"{'method':<{width}}  sync   async  verdict"]
    lines += [f"{r.method:<{width}}  {r.sync:<5}  {r.asynchronous:<5}  {r.verdict}" for r in rows]
    good = sum(row.verdict == "pass" for row in rows)
    which = f"SDK {cloudflare.__version__}"
    lines.append(f"{good} of {len(rows)} account-level methods pass, sync and async ({which})")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Walk, print the table, return 1 when anything is not as it must be."""
    parser = argparse.ArgumentParser(
        prog="scripts/sdk-walk",
        description="Calls every account-level method of the official SDK's client.addressing, sync and "
        "async, and checks each answer against the SDK's own models.",
    )
    parser.add_argument("--url", help="a running Herald, such as http://127.0.0.1:8080 (default: its own)")
    parser.add_argument("--token", help="an operator's token for it")
    options = parser.parse_args(arguments)
    if (options.url is None) != (options.token is None):
        parser.error("give --url and --token together")
    if options.url is not None:
        rows = walk(options.url.rstrip("/"), options.token)
    else:
        with own_herald() as (url, token):
            rows = walk(url, token)
    print(table(rows))
    return 0 if all(row.verdict == "pass" for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
