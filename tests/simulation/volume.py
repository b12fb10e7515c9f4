"""``scripts/prove-invariants``: very many histories on all cores; what breaks one, in its shortest form."""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

from tests.simulation.histories import Broken, run_numbered, shortest

BATCH = 500


@dataclass(frozen=True)
class Found:
    """What a batch of histories came to."""

    histories: int
    steps: int
    broken: tuple[Broken, ...]


def batch(seed: int, first: int, count: int, length: int) -> Found:
    """Live through histories ``first`` and the following of ``seed``."""
    broken = [
        b for n in range(first, first + count) if (b := run_numbered(f"{seed}/{n}", length)) is not None
    ]
    return Found(count, count * length, tuple(broken))


def many(histories: int, *, seed: int, jobs: int, length: int = 30) -> Iterator[Found]:
    """Live through ``histories`` on ``jobs`` processes; gives each batch as it is done."""
    starts = range(0, histories, BATCH)
    counts = [min(BATCH, histories - start) for start in starts]
    if jobs == 1:
        for start, count in zip(starts, counts, strict=True):
            yield batch(seed, start, count, length)
        return
    with ProcessPoolExecutor(jobs) as pool:
        yield from pool.map(batch, [seed] * len(counts), starts, counts, [length] * len(counts))


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/prove-invariants", description=__doc__)
    parser.add_argument("--histories", type=int, default=1_000_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--length", type=int, default=30, help="steps of a history, before all goes on")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument(
        "--one", metavar="N", type=int, help="only history N, shortened if it breaks anything"
    )
    told = parser.parse_args()
    if told.one is not None:
        found = run_numbered(f"{told.seed}/{told.one}", told.length)
        print("holds" if found is None else _told(shortest(found)))
        return 0 if found is None else 1
    began, done, steps = time.perf_counter(), 0, 0
    for batch_found in many(told.histories, seed=told.seed, jobs=told.jobs, length=told.length):
        done, steps = done + batch_found.histories, steps + batch_found.steps
        if batch_found.broken:
            print(_told(shortest(batch_found.broken[0])))
            return 1
        if done % 50_000 == 0:
            print(f"{done:,} histories, {done / (time.perf_counter() - began):,.0f} a second", flush=True)
    took = time.perf_counter() - began
    print(f"{done:,} histories of {told.length} steps ({steps:,} steps) hold I1 to I11; {took:.0f} s, "
          f"{done / took:,.0f} a second on {told.jobs} processes; seed {told.seed}")  # fmt: skip
    return 0


def _told(broken: Broken) -> str:
    steps = "\n".join(f"  {step}" for step in broken.steps)
    return f"history {broken.seed} breaks {broken.says}\n{steps}"


if __name__ == "__main__":
    sys.exit(main())
