"""``herald announce`` and ``herald withdraw``: ask, then wait until it is so."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from controller.bgp import Prefix, parse_prefix
from controller.cli import completion
from controller.cli.call import Call
from controller.cli.errors import CliError, NotReachedError
from controller.cli.frame import Commands, Given
from controller.cli.options import Cidr, Deadline, Intent
from controller.cli.scope import Wanted, announcing, withdrawing

if TYPE_CHECKING:
    from controller.cli.answers import Object
    from controller.cli.client import ChangeSetProgress, Client, Owner
    from controller.cli.find import Connection
    from controller.cli.sight import Sight


class Until(StrEnum):
    """How far to wait."""

    ACCEPTED = "accepted"
    SENT = "sent"
    OBSERVED = "observed"


class Strategy(StrEnum):
    """How to withdraw."""

    PLAIN = "plain"


Sites = Annotated[
    list[str] | None,
    typer.Option(
        "--site",
        metavar="SITE",
        help="At this site only; may be given again.",
        autocompletion=completion.sites,
    ),
]
Wait = Annotated[
    Until, typer.Option("--wait", help="Return once it is accepted, sent, or observed by routers.")
]
WAITING: Given = {
    "intent": (Intent, None),
    "wait": (Wait, Until.OBSERVED),
    "deadline": (Deadline, 15.0),
}


def register(app: typer.Typer) -> None:
    """Add the commands."""
    top = Commands("", "", app)
    top.writes("announce", matches=True, fields=False, other=WAITING)(announce)
    top.writes("withdraw", matches=True, fields=False, other=WAITING)(withdraw)


def announce(call: Call, cidr: Cidr, site: Sites = None) -> None:
    """Put a prefix on the air at all sites, or add sites, and wait until routers hold it.

    \b
    Examples:
      herald announce 192.0.2.0/24
      herald announce 2001:db8:1000::/48 --site site1 --json
    """
    request, owner = _open(call, cidr)
    wanted = announcing(_now(request.client, owner), site or [])
    if call.shared.dry_run:
        _foresee(request, owner, wanted, call.shared.as_json)
        return
    _carry_out(request, owner, wanted, _plan(call))


def withdraw(
    call: Call,
    cidr: Cidr,
    site: Sites = None,
    strategy: Annotated[Strategy, typer.Option("--strategy", help="How to withdraw.")] = Strategy.PLAIN,
    watch: Annotated[bool, typer.Option("--watch", help="A line for each UPDATE until it is gone.")] = False,
) -> None:
    """Take a prefix off the air everywhere, or at some sites, and wait until routers have lost it.

    \b
    Examples:
      herald withdraw 192.0.2.0/24 --watch
      herald withdraw 192.0.2.0/24 --site site2 --dry-run
    """
    request, owner = _open(call, cidr)
    if owner.bgp_prefix_id is None:
        raise CliError(
            f"{cidr} is no BGP prefix of its own in {owner.prefix_cidr}: there is nothing to withdraw"
        )
    now = _now(request.client, owner)
    known = _known_sites(request.connection) if site else []
    wanted = withdrawing(now, site or [], known)
    if call.shared.dry_run:
        _show_plan(request, owner, now, wanted, call.shared.as_json)
        return
    _carry_out(request, owner, wanted, _plan(call, watch))


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for and through which API."""

    prefix: Prefix
    connection: Connection

    @property
    def client(self) -> Client:
        """The API's client."""
        return self.connection.client


@dataclass(frozen=True, slots=True)
class Plan:
    """How far to wait, until when (monotonic seconds), and how to say it."""

    until: Until
    deadline: float
    as_json: bool
    watch: bool = False


def _plan(call: Call, watch: bool = False) -> Plan:
    return Plan(Until(call.shared.wait), call.ends, call.shared.as_json, watch)


def _open(call: Call, cidr: str) -> tuple[Request, Owner]:
    from controller.cli.ownership import check_account  # noqa: PLC0415 (quick `herald --help`)

    request = Request(parse_prefix(cidr), call.connection)
    owner = request.client.whose(request.prefix)
    check_account(owner.account_id, call.shared.account, cidr)
    return Request(request.prefix, call.connection.as_owner(owner.account_id)), owner


def _now(client: Client, owner: Owner) -> Wanted:
    if owner.bgp_prefix_id is None:
        return Wanted(False)
    configured = client.bgp_prefix(owner.account_id, owner.prefix_id, owner.bgp_prefix_id)["configured"]
    sites = configured["sites"]
    return Wanted(configured["advertised"], None if sites is None else tuple(sites))


def _known_sites(connection: Connection) -> list[str]:
    if connection.inventory is not None:
        return [s.name for s in connection.inventory.sites]
    return [str(s["site"]) for s in connection.client.sites()]


def _carry_out(request: Request, owner: Owner, wanted: Wanted, plan: Plan) -> None:
    """Ask, wait as far as ``plan`` says, and show how it stands; raises when it is not there in time."""
    import msgspec  # noqa: PLC0415

    from controller.cli.output import progress  # noqa: PLC0415
    from controller.cli.watching import Watching  # noqa: PLC0415

    watching = Watching.open(request.connection.inventory, request.prefix) if plan.watch else None
    made = request.client.put_advertisement(
        owner, request.prefix, advertised=wanted.advertised, sites=wanted.sites
    )
    owner = msgspec.structs.replace(owner, bgp_prefix_id=str(made.result["id"]))
    change_set = next(iter(made.change_sets), None)
    if change_set is None:
        raise CliError("the API answered without a change-set: is it a newer or older Herald?")
    verb = "announced" if wanted.advertised else "withdrawn"
    progress(f"{request.prefix} is to be {verb}{_where(wanted)}: accepted as change-set {change_set}")
    if watching is not None:
        watching.follow(plan.deadline, progress if plan.as_json else typer.echo)
    state, sight, missing = _wait(request, owner, wanted, change_set, plan)
    _show(request, owner, state, sight, wanted, as_json=plan.as_json)
    if missing:
        raise NotReachedError(missing)


def _wait(
    request: Request, owner: Owner, wanted: Wanted, change_set: str, plan: Plan
) -> tuple[ChangeSetProgress, Sight | None, str]:
    """Return how it stands, and what is missing (empty when nothing is)."""
    from controller.cli.output import progress, reasons  # noqa: PLC0415
    from controller.cli.waiting import (  # noqa: PLC0415
        wait_until_api_observes,
        wait_until_observed,
        wait_until_sent,
    )

    client, inventory = request.client, request.connection.inventory
    goes_on = f"{request.prefix}: the change was accepted (change-set {change_set}) and goes on, but "
    if plan.until is Until.ACCEPTED:
        return client.change_set(change_set), None, ""
    found = wait_until_sent(client, change_set, plan.deadline, progress)
    if found.state in ("failed", "held"):
        return found, None, f"{request.prefix}: change-set {change_set} is {found.state}: {reasons(found)}"
    if found.state != "done":
        return found, None, f"{goes_on}at the deadline {reasons(found)}"
    if plan.until is Until.SENT:
        return found, None, ""
    if inventory is None:
        sight, reached = wait_until_api_observes(client, owner, wanted.advertised, plan.deadline)
    else:
        at = wanted.at([s.name for s in inventory.sites])
        sight, reached = wait_until_observed(inventory, request.prefix, at, plan.deadline, progress)
    return found, sight, "" if reached else f"{goes_on}at the deadline {sight.reason or sight.state}"


def _where(wanted: Wanted) -> str:
    if not wanted.advertised:
        return " everywhere"
    return " at all sites" if wanted.sites is None else f" at {', '.join(wanted.sites)}"


def _body(request: Request, owner: Owner) -> dict[str, Any]:
    return {
        "prefix": request.prefix,
        "account_id": owner.account_id,
        "bgp_prefix_id": owner.bgp_prefix_id,
    }


def _show(
    request: Request,
    owner: Owner,
    found: ChangeSetProgress,
    sight: Sight | None,
    wanted: Wanted,
    *,
    as_json: bool,
) -> None:
    from controller.cli.output import print_json  # noqa: PLC0415

    if as_json:
        body = _body(request, owner)
        print_json(
            {**body, "change_set": found.id, "state": found.state, "sites": found.sites, "observed": sight}
        )
        return
    if found.state == "done":
        verb = "announced" if wanted.advertised else "withdrawn"
        seen = "" if sight is None or sight.of is None else f", seen by {sight.seen_by} of {sight.of} routers"
        typer.echo(f"{request.prefix} is {verb}{_where(wanted)}{seen}")


def _foresee(request: Request, owner: Owner, wanted: Wanted, as_json: bool) -> None:
    """Say what announcing would do, and change nothing."""
    from controller.cli.output import print_json, print_plan  # noqa: PLC0415

    plan = _ask(request, owner, wanted)
    if as_json:
        sites = {e["site"]: {"state": f"would {e['verb']}", "reason": ""} for e in _route_effects(plan)}
        print_json({**_body(request, owner), **_nothing_done(sites), "plan": plan})
    else:
        print_plan(plan)


def _show_plan(request: Request, owner: Owner, now: Wanted, wanted: Wanted, as_json: bool) -> None:
    """Say which sites would stop and what their peers would do, and change nothing."""
    from controller.cli.foretold import foretold  # noqa: PLC0415
    from controller.cli.output import print_json, print_plan  # noqa: PLC0415
    from controller.forecast.observed import forecast_now  # noqa: PLC0415

    plan = _ask(request, owner, wanted)
    inventory = request.connection.inventory
    known: Collection[str] = _known_sites(request.connection) if inventory is not None else (now.sites or ())
    stops, stays = sorted(now.at(list(known)) - wanted.at(list(known))), sorted(wanted.at(list(known)))
    forecast = None if inventory is None else forecast_now(inventory, request.prefix, stops)
    if as_json:
        sites = {s: {"state": "would withdraw", "reason": ""} for s in stops}
        sites |= {s: {"state": "would stay", "reason": ""} for s in stays}
        print_json({**_body(request, owner), **_nothing_done(sites), "plan": plan, "forecast": forecast})
        return
    if not now.advertised:
        typer.echo(f"{request.prefix} is not advertised: nothing would change")
        return
    last = "" if wanted.advertised else "; that is the last of it: the prefix would be unreachable"
    typer.echo(f"{request.prefix} would be withdrawn at {', '.join(stops) or 'no site'}{last}")
    if stays:
        typer.echo(f"it would stay announced at {', '.join(stays)}")
    print_plan(plan)
    for line in foretold(forecast) if forecast is not None else ():
        typer.echo(line)


def _ask(request: Request, owner: Owner, wanted: Wanted) -> Object | None:
    """Return the API's own plan; the client's terms are a dry run's."""
    made = request.client.put_advertisement(
        owner, request.prefix, advertised=wanted.advertised, sites=wanted.sites
    )
    return made.plan


def _route_effects(plan: Object | None) -> list[Object]:
    parts = plan["change_sets"] if plan else []
    return [e for part in parts for e in part["effects"] if e["verb"] in ("announce", "withdraw")]


def _nothing_done(sites: Object) -> Object:
    return {"change_set": None, "state": "dry-run", "sites": sites, "observed": None}
