"""``scripts/simulate-year``: the figures and the pictures."""

from __future__ import annotations

import argparse
import collections
import json
import random
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import quantiles

import matplotlib

from controller.safety.breaker import Opening
from controller.safety.policy import Policy
from tests.year.attacks import COMBINATIONS, RATES_A_MINUTE, Harm, attacks, suffered
from tests.year.fleet import Change, Fleet, made
from tests.year.work import DAY, YEAR_DAYS, Rates, year

matplotlib.use("Agg")
from matplotlib import pyplot

ANSWER_S = 900.0
"""An operator looks at an opening, or at what was held, so long after it happened."""


@dataclass
class Year:
    """What became of ordinary work. ``delays``: seconds that each kind's changes arrived later."""

    openings: list[Opening]
    delays: dict[str, list[float]] = field(default_factory=lambda: collections.defaultdict(list))
    held: collections.Counter[tuple[str, str]] = field(default_factory=collections.Counter)
    at: list[float] = field(default_factory=list)

    @property
    def changes(self) -> int:
        return sum(map(len, self.delays.values()))


def lived(fleet: Fleet, work: Iterable[Change]) -> Year:
    """Put a year's work to the guards; operators answer each opening after :data:`ANSWER_S`."""
    found = Year(fleet.openings)
    answers: list[tuple[float, str]] = []
    for change in work:
        while answers and answers[0][0] <= change.at:
            at, scope = answers.pop(0)
            for waiting in fleet.close(scope, at) if scope in fleet.state.open else []:
                again = fleet.put(waiting, released_by="operator:noc0")
                found.delays[waiting.kind].append(at - waiting.at + again.delay_s)
        before = len(fleet.openings)
        outcome = fleet.put(change)
        answers += [(change.at + ANSWER_S, o.scope) for o in fleet.openings[before:]]
        if outcome.verdict.decision != "hold":
            found.delays[change.kind].append(outcome.delay_s)
            continue
        check = outcome.verdict.findings[0].check
        found.held[change.kind, check] += 1
        found.at.append(change.at)
        if check == "last-site":  # two operators asked, and one of them releases it
            again = fleet.put(change, released_by="operator:noc0")
            found.delays[change.kind].append(ANSWER_S + again.delay_s)
    return found


def percentiles(samples: Sequence[float]) -> tuple[float, float, float]:
    """Return p50, p99 and the longest."""
    if len(samples) < 2:
        return samples[0], samples[0], samples[0]
    cut = quantiles(samples, n=100, method="inclusive")
    return cut[49], cut[98], max(samples)


def told(found: Year) -> list[str]:
    """Return the year's figures as lines."""
    lines = [f"{found.changes:,} changes admitted; {len(found.openings)} openings of the breaker:"]
    lines += [
        f"  day {o.since / DAY:6.1f}  {o.scope}  {o.check}: {o.says.partition(':')[0]}"
        for o in found.openings
    ]
    lines.append("held by a check:")
    lines += [f"  {kind} by {check}: {count}" for (kind, check), count in sorted(found.held.items())]
    lines.append("delay added, seconds (p50, p99, most):")
    for kind, samples in sorted(found.delays.items()):
        p50, p99, most = percentiles(samples)
        lines.append(f"  {kind:12} {len(samples):7,}  {p50:8.0f} {p99:8.0f} {most:8.0f}")
    return lines


def harm_curves(harms: Mapping[str, Sequence[Harm]], folder: Path, prefixes: int) -> Path:
    """Draw harm against rate, one panel a kind of attack, one line a set of guards."""
    figure, panels = pyplot.subplots(1, len(harms), figsize=(5.2 * len(harms), 4.6), sharey=True)
    for panel, (name, found) in zip(panels, harms.items(), strict=True):
        for n, armed in enumerate(COMBINATIONS):
            mine = [h for h in found if h.armed is armed]
            panel.plot(
                [h.attack.rate_a_minute for h in mine], [h.unreachable for h in mine],
                marker="osv^D*P"[n], linewidth=1.6, alpha=0.85, label=armed.name,
            )  # fmt: skip
        panel.axvline(22, color="grey", linewidth=0.8, linestyle=":")
        panel.annotate("2026-02-20", (22, prefixes * 1.1), fontsize=7, color="grey", ha="center")
        panel.set_xscale("log")
        panel.set_yscale("symlog", linthresh=1)
        panel.set_ylim(-0.2, prefixes * 2.2)
        panel.set_xlabel("withdrawals a minute")
        panel.set_title(name, fontsize=10)
        panel.grid(alpha=0.25)
    panels[0].set_ylabel("prefixes unreachable after a day")
    panels[-1].legend(fontsize=7, loc="lower right")
    figure.tight_layout()
    path = folder / "harm.png"
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path


def delay_bars(found: Year, folder: Path) -> Path:
    """Draw the delay that each kind of work suffered."""
    kinds = sorted(found.delays)
    figure, panel = pyplot.subplots(figsize=(7.5, 4.2))
    for n, kind in enumerate(kinds):
        p50, p99, most = percentiles(found.delays[kind])
        panel.plot([most], [n], marker="|", color="tab:red", markersize=12)
        panel.barh(n, p99, color="tab:blue", alpha=0.35)
        panel.barh(n, p50, color="tab:blue")
    panel.set_yticks(range(len(kinds)), [f"{k} ({len(found.delays[k]):,})" for k in kinds])
    panel.set_xscale("symlog", linthresh=10)
    panel.set_xlim(0, None)
    panel.set_xlabel("seconds later for having been guarded: median (dark), p99 (light), most (red)")
    figure.tight_layout()
    path = folder / "delay.png"
    figure.savefig(path, dpi=110)
    pyplot.close(figure)
    return path


def all_attacks(policy: Policy, prefixes: int, seed: int) -> dict[str, list[Harm]]:
    kinds = {
        "a task that runs away": attacks(stolen=False),
        "twenty tokens in turn": attacks(stolen=False, actors=20),
        "a stolen intent service": attacks(stolen=True),
    }
    return {
        name: [
            suffered(a, armed, policy, prefixes=prefixes, seed=seed) for armed in COMBINATIONS for a in some
        ]
        for name, some in kinds.items()
    }


def harm_table(harms: Mapping[str, Sequence[Harm]]) -> list[str]:
    lines = []
    for name, found in harms.items():
        lines.append(f"{name}: prefixes unreachable after a day (seconds until the breaker opened)")
        lines.append("  a minute             " + "".join(f"{r:>14g}" for r in RATES_A_MINUTE))
        for armed in COMBINATIONS:
            mine = [h for h in found if h.armed is armed]
            cells = [
                f"{h.unreachable}" + ("" if h.opened_after_s is None else f" ({h.opened_after_s:.0f})")
                for h in mine
            ]
            lines.append(f"  {armed.name:21}" + "".join(f"{c:>14}" for c in cells))
    return lines


def main() -> int:
    parser = argparse.ArgumentParser(prog="scripts/simulate-year", description=__doc__)
    parser.add_argument("--sites", type=int, default=300)
    parser.add_argument("--prefixes", type=int, default=5000)
    parser.add_argument("--days", type=int, default=YEAR_DAYS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--report", type=Path, metavar="DIR", help="write figures and pictures there")
    parser.add_argument("--no-attacks", action="store_true")
    wanted = parser.parse_args()
    began = time.perf_counter()
    chance = random.Random(wanted.seed)
    fleet = made(Policy(), sites=wanted.sites, prefixes=wanted.prefixes, chance=chance)
    found = lived(fleet, year(fleet, chance, Rates(), wanted.days))
    lines = [
        f"{wanted.days} days, {wanted.sites} sites, {wanted.prefixes:,} prefixes in {len(fleet.accounts)} "
        f"accounts, seed {wanted.seed}; {time.perf_counter() - began:.0f} s",
        *told(found),
    ]
    harms = {} if wanted.no_attacks else all_attacks(Policy(), wanted.prefixes, wanted.seed)
    lines += harm_table(harms)
    print("\n".join(lines))
    if wanted.report is not None:
        wanted.report.mkdir(parents=True, exist_ok=True)
        (wanted.report / "year.txt").write_text("\n".join(lines) + "\n")
        _write_json(wanted.report / "year.json", found, harms)
        delay_bars(found, wanted.report)
        if harms:
            harm_curves(harms, wanted.report, wanted.prefixes)
    return 0


def _write_json(path: Path, found: Year, harms: Mapping[str, Sequence[Harm]]) -> None:
    path.write_text(json.dumps({
        "openings": [{"scope": o.scope, "check": o.check, "at": o.since} for o in found.openings],
        "delays": {kind: percentiles(samples) for kind, samples in found.delays.items()},
        "harm": [
            {"attack": name, "guards": h.armed.name, "a_minute": h.attack.rate_a_minute,
             "unreachable": h.unreachable, "anywhere": h.anywhere, "opened_after_s": h.opened_after_s}
            for name, some in harms.items() for h in some
        ],
    }, indent=1))  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
