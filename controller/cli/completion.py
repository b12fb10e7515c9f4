"""What a shell completes from a running lab or API: quick, and silent when there is none.

Typer completes commands and options by itself; these functions give values. ``install`` mends the script
for bash, which cuts words at colons, and so IPv6 addresses.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from controller.cli.client import Client

PATIENCE_S = 5.0
"""Seconds that a shell's user waits at most for an answer."""

MOST = 500
"""Values offered at most: a shell shows no more in any useful way."""

Complete = Callable[[typer.Context, str], list[str]]

BASH = r"""
%(complete_func)s() {
    # The line as typed: bash cuts words at colons, which IPv6 prefixes have.
    local IFS=$'\n' line="${COMP_LINE:0:COMP_POINT}" kept
    COMPREPLY=( $( env %(autocomplete_var)s=complete_fish _TYPER_COMPLETE_FISH_ACTION=get-args \
                       _TYPER_COMPLETE_ARGS="$line" "$1" 2>/dev/null | cut -f1 ) )
    kept="${line##*[[:space:]]}"
    if [[ "$COMP_WORDBREAKS" == *:* && "$kept" == *:* ]]; then
        COMPREPLY=( "${COMPREPLY[@]#"${kept%%"${kept##*:}"}"}" )
    fi
    return 0
}

complete -o default -F %(complete_func)s %(prog_name)s
"""


def install() -> None:
    """Let ``--show-completion`` and ``--install-completion`` give bash a script of ours."""
    from typer import _completion_shared  # noqa: PLC0415 (Typer has no other place for a script)

    _completion_shared._completion_scripts["bash"] = BASH


def labs(incomplete: str) -> list[str]:
    """Return the running labs' names."""
    from controller.cli.find import alive  # noqa: PLC0415 (quick `herald --help`)

    return _matching((i.lab for i in alive()), incomplete)


def _from_api(values: Callable[[Client, str | None], Iterable[object]]) -> Complete:
    """Return a completion that asks the API; whatever is wrong there, nothing is offered."""

    def complete(ctx: typer.Context, incomplete: str) -> list[str]:
        from controller.cli.find import connect  # noqa: PLC0415
        from controller.errors import HeraldError  # noqa: PLC0415

        given: dict[str, Any] = ctx.params
        try:
            client = connect(
                given.get("url"),
                given.get("token"),
                given.get("lab"),
                ca=given.get("ca"),
                patience_s=PATIENCE_S,
            ).client
            return _matching(map(str, values(client, given.get("account"))), incomplete)
        except (HeraldError, KeyError, TypeError):  # nobody there, refused, or another Herald's answers
            return []

    return complete


def _matching(values: Iterable[str], incomplete: str) -> list[str]:
    return sorted({v for v in values if v.startswith(incomplete)})[:MOST]


def _prefixes(client: Client, account: str | None) -> Iterable[dict[str, Any]]:
    from controller.cli.ownership import accounts_to_list  # noqa: PLC0415

    for account_id in accounts_to_list(client, account):
        yield from client.prefixes(account_id)


def _cidrs(client: Client, account: str | None) -> Iterable[str]:
    for prefix in _prefixes(client, account):
        yield prefix["cidr"]
        yield from (part["cidr"] for part in prefix["configured"]["bgp_prefixes"])


def _services(client: Client, account: str | None) -> Iterable[str]:
    from controller.cli.ownership import accounts_to_list  # noqa: PLC0415

    for account_id in accounts_to_list(client, account)[:1]:
        yield from (service["id"] for service in client.services(account_id))


def _of_accounts(
    client: Client, account: str | None, name: str, *, ours: bool = False
) -> Iterable[dict[str, Any]]:
    """Yield the objects in a list of the compatible API (or of Herald's own) of each account."""
    from controller.cli.ownership import accounts_to_list  # noqa: PLC0415
    from controller.cli.routes import addressing, herald  # noqa: PLC0415

    for account_id in accounts_to_list(client, account):
        yield from client.all(herald("accounts", account_id, name) if ours else addressing(account_id, name))


cidrs = _from_api(_cidrs)
"""The CIDRs of prefixes and BGP prefixes."""

accounts = _from_api(lambda client, _: (a["id"] for a in client.accounts()))
"""Accounts' ids."""

services = _from_api(_services)
"""Services' ids."""

sites = _from_api(lambda client, _: (s["site"] for s in client.sites()))
"""Sites' names."""


address_maps = _from_api(
    lambda client, account: (r["id"] for r in _of_accounts(client, account, "address_maps"))
)
"""Address maps' ids."""

letters = _from_api(
    lambda client, account: (r["id"] for r in _of_accounts(client, account, "loa_documents", ours=True))
)
"""The ids of letters of authorization."""


def ids(path: str, field: str = "id") -> Complete:
    """Return a completion with the ids that one of Herald's own lists at ``path`` has in ``field``."""
    return _from_api(lambda client, _: (row[field] for row in client.all(path)))
