"""Runs Schemathesis against the API on a real server, and says what it found."""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tests.addressing_api import Api, furnished, running_api
from tests.stores import KINDS, stores

ROOT = Path(__file__).resolve().parents[2]
CHECKS = (
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_schema_conformance",
    "response_headers_conformance",
    "negative_data_rejection",
    "unsupported_method",
    "ignored_auth",
    "use_after_free",
)
PHASES = ("examples", "coverage", "fuzzing", "stateful")


@dataclass(frozen=True)
class Found:
    """How many cases were tried, and Schemathesis's own words. ``code`` 0: nothing was found."""

    cases: int
    code: int
    output: str


def fuzz(api: Api, folder: Path, *, examples: int, seed: int, phases: tuple[str, ...] = PHASES) -> Found:
    """Run ``phases`` with ``examples`` cases an operation; stateful sequences among them."""
    config = folder / "schemathesis.toml"
    config.write_text('[parameters]\naccount_id = "acme"\n')
    done = subprocess.run(
        [
            str(Path(sys.executable).with_name("schemathesis")), "--config-file", str(config), "run",
            f"http://127.0.0.1:{api.port}/openapi.json", "--header", f"Authorization: Bearer {api.token}",
            "--max-examples", str(examples), "--seed", str(seed), "--phases", ",".join(phases),
            "--checks", ",".join(CHECKS), "--continue-on-failure", "--warnings", "off", "--no-color",
        ],
        cwd=ROOT,
        env={**os.environ, "SCHEMATHESIS_HOOKS": "tests.fuzz.hooks"},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    counted = re.search(r"([\d,]+) generated", done.stdout)
    return Found(
        0 if counted is None else int(counted[1].replace(",", "")), done.returncode, done.stdout + done.stderr
    )


def main() -> int:
    """Fuzz until enough cases were tried, a new seed each time; exit 1 at the first finding."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz-api", description=__doc__)
    parser.add_argument("--cases", type=int, default=10_000, help="at least so many cases (default: 10,000)")
    parser.add_argument("--examples", type=int, default=60, help="cases an operation in each round")
    parser.add_argument("--seed", type=int, default=1, help="the first round's seed")
    parser.add_argument("--store", choices=KINDS, action="append", help="both by default")
    parser.add_argument("--json", action="store_true", help="print the counts as JSON")
    told = parser.parse_args()
    counts: dict[str, int] = {}
    try:
        for kind in told.store or KINDS:
            with stores.use(kind):
                counts[kind] = _fuzz_store(kind, told)
    except FoundError as error:
        print(error)
        return 1
    finally:
        stores.close()
    if told.json:
        print(json.dumps({"cases": counts, "found": 0}))
    else:
        print("; ".join(f"{kind}: {count:,} cases, nothing found" for kind, count in counts.items()))
    return 0


class FoundError(Exception):
    """Schemathesis found something; the message is what it says."""


def _fuzz_store(kind: str, told: argparse.Namespace) -> int:
    total, seed = 0, told.seed
    while total < told.cases:
        with tempfile.TemporaryDirectory() as name, running_api(Path(name)) as api:
            furnished(api)
            found = fuzz(api, Path(name), examples=told.examples, seed=seed)
        total += found.cases
        print(f"{kind}, seed {seed}: {found.cases:,} cases, {total:,} in all", file=sys.stderr, flush=True)
        if found.code != 0:
            raise FoundError(found.output)
        seed += 1
    return total


if __name__ == "__main__":
    sys.exit(main())
