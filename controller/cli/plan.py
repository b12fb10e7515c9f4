"""A dry run's plan as rows: what would happen at which sites (pure)."""

from __future__ import annotations

from collections.abc import Iterator

from controller.cli.answers import Column, Object, Rows
from controller.cli.cells import plain, share

COLUMNS = (
    Column("sites", "sites", wraps=True),
    Column("effect", "verb"),
    Column("kind", "kind", rank=1),
    Column("prefixes", "cidrs", wraps=True),
    Column("account", "account_id", rank=2),
)


def effects(plan: Object) -> Rows:
    """Return the effects; sites at which the same happens share a row."""
    grouped: dict[tuple[str, str, str, tuple[str, ...]], list[str]] = {}
    for part in plan["change_sets"]:
        at_site: dict[tuple[str, str, str], list[str]] = {}
        for effect in part["effects"]:
            at_site.setdefault((effect["site"], effect["verb"], effect["kind"]), []).append(effect["cidr"])
        for (site, verb, kind), cidrs in at_site.items():
            grouped.setdefault((part["account_id"], verb, kind, tuple(cidrs)), []).append(site)
    rows = [
        {"account_id": account, "verb": verb, "kind": kind, "cidrs": cidrs, "sites": found}
        for (account, verb, kind, cidrs), found in grouped.items()
    ]
    fits = all(part["problem"] is None for part in plan["change_sets"])
    return Rows(rows, COLUMNS, "Nothing would change at any site." if fits else "It cannot be foreseen yet.")


def remarks(plan: Object) -> Iterator[str]:
    """Yield what else is to be known: shares of what is advertised, and what does not fit."""
    part = plan["share"]
    if part["fleet"] or part["accounts"]:
        yield (
            f"It would withdraw {share(part['accounts'])} of what the account advertises, "
            f"{share(part['fleet'])} of what everybody does."
        )
    for change_set in plan["change_sets"]:
        if change_set["problem"]:
            yield f"It does not fit what is rolled out so far: {plain(change_set['problem'])}"
