"""``herald site …``: one site by its agent's own socket, with the controller, the store and the API gone.

Only drains (``site_drains``) are the API's.

What is done here is signed with the operators' break-glass key, judged by the agent alone, and journalled
there. A record can be signed in one place and brought in another: it is one line of text.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import secrets
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from controller.cli.answers import Card, Column, Rows
from controller.cli.errors import CliError
from controller.cli.frame import Commands, HeraldCommand
from controller.cli.options import DryRun, Json, Lab
from controller.cli.resources import site_drains

if TYPE_CHECKING:
    from controller.observe.inventory import Inventory
    from controller.transport.messages import Done, SiteStatus

Agent = Annotated[
    str | None, typer.Option("--agent", metavar="SOCKET", help="The agent's socket; a lab's if left out.")
]
SiteName = Annotated[str | None, typer.Option("--site", metavar="SITE", help="The site's name.")]
Key = Annotated[
    Path | None,
    typer.Option("--key", metavar="FILE", help="The break-glass key (base64); a lab's if left out."),
]
Who = Annotated[str, typer.Option("--who", metavar="NAME", help="Who does it: kept in the site's journal.")]
Why = Annotated[str, typer.Option("--reason", metavar="TEXT", help="Why: kept in the site's journal.")]
Minutes = Annotated[float, typer.Option("--minutes", min=0.1, help="How long the record may be brought.")]
Cidrs = Annotated[list[str], typer.Argument(metavar="CIDR…", help="Prefixes such as 192.0.2.0/24.")]
RecordFile = Annotated[str, typer.Argument(metavar="FILE", help="A file with the record; - for a pipe.")]
Action = Literal["withdraw", "announce", "lift"]

STATUS = (
    Column("site", "site"),
    Column("generation", "generation"),
    Column("settled", "settled"),
    Column("speaker up", "speaker_up"),
    Column("quarantined", "fault"),
    Column("cut off", "cut_off"),
    Column("drained", lambda row: ", ".join(sorted(row.get("drains", {})))),
    Column("registry", "registry"),
    Column("sends", lambda row: len(row["sent"])),
    Column("change", "change"),
    Column("nonce", "nonce"),
)
HELD = (
    Column("account", "account_id"),
    Column("prefix", "prefix"),
    Column("verb", "verb"),
    Column("check", "check"),
    Column("reason", "reason", wraps=True),
)
MACHINES = (
    Column("machine", "name"),
    Column("live", "live"),
    Column("generation", "generation"),
    Column("absent", lambda row: ", ".join(row["absent"])),
)
HEALTH = (
    Column("prefix", "prefix"),
    Column("serve", lambda row: f"{row['holding']} of {row['live']} (quorum {row['announce_quorum']})"),
    Column("absent", lambda row: f"{row['absent']} of {row['live']} (quorum {row['withdraw_quorum']})"),
    Column("held by", "check"),
    Column("reason", "reason", wraps=True),
)
CONFLICTS = (
    Column("account", "account_id"),
    Column("prefix", "prefix"),
    Column("not as the registry says", "reason", wraps=True),
)
DECIDED = (
    Column("at", "at"),
    Column("what", "what"),
    Column("outcome", "outcome"),
    Column("who", "who"),
    Column("why", "why", wraps=True),
)

app = Commands("site", "One site: drain it by the API; all else by its agent's own socket.")
site_drains.add_to(app)


@app.app.command(cls=HeraldCommand)
def show(*, agent: Agent = None, site: SiteName = None, lab: Lab = None, as_json: Json = False) -> None:
    """Show what a site has, what its guard and the registry hold back, and what an override has to name.

    With its machines, and the prefixes whose bindings they report absent, counted for both quorums.

    \b
    Examples:
      herald site show --agent /run/herald/ams.sock
    """
    status = _status(_agent(agent, site, lab))
    body = _body(status)
    lists: tuple[Rows, ...] = (
        Rows(body["held"], HELD, "Nothing is held."),
        Rows(body["machines"], MACHINES, "No machines."),
        Rows(body["health"], HEALTH, "No machine reports a binding absent."),
    )
    if body["conflicts"]:
        lists += (Rows(body["conflicts"], CONFLICTS),)
    _finish(Card(body, STATUS, lists), as_json)


@app.app.command(cls=HeraldCommand)
def absent(
    cidrs: Annotated[
        list[str] | None, typer.Argument(metavar="CIDR…", help="All that is not served there; none: all is.")
    ] = None,
    *,
    machine: Annotated[str, typer.Option("--machine", metavar="SOCKET", help="The machine's socket.")],
    seconds: Annotated[
        float, typer.Option("--seconds", min=1, max=3600, help="How long that holds, unless it is repeated.")
    ] = 60.0,
    as_json: Json = False,
) -> None:
    """Tell a machine which bindings are absent there, as its own service check does.

    Its site then counts it for the withdraw quorum of these prefixes, and no more for the announce quorum.

    \b
    Examples:
      herald site absent 192.0.2.0/24 --machine /run/herald/m1.sock --seconds 300
      herald site absent --machine /run/herald/m1.sock
    """
    from controller.bgp import parse_prefix  # noqa: PLC0415
    from controller.transport import messages  # noqa: PLC0415

    report = messages.AbsenceReport(tuple(parse_prefix(cidr) for cidr in cidrs or ()), seconds)
    ack = _ask(machine, "PUT", "/absences", messages.BindingAck, report, name="the machine")
    if as_json:
        from controller.cli.output import print_json  # noqa: PLC0415

        print_json(ack)
        return
    typer.echo(f"{ack.name} reports absent: {', '.join(ack.absent) or 'nothing'}")


@app.app.command(cls=HeraldCommand)
def decisions(*, agent: Agent = None, site: SiteName = None, lab: Lab = None, as_json: Json = False) -> None:
    """List the overrides and emergencies that were brought to a site, carried out or refused.

    \b
    Examples:
      herald site decisions --agent /run/herald/ams.sock --json
    """
    _finish(Rows(_ask(_agent(agent, site, lab), "GET", "/overrides", list[dict[str, Any]]), DECIDED), as_json)


@app.app.command("sign-override", cls=HeraldCommand)
def sign_override(
    *,
    who: Who,
    reason: Why,
    key: Key = None,
    minutes: Minutes = 15.0,
    agent: Agent = None,
    site: SiteName = None,
    lab: Lab = None,
    as_json: Json = False,
) -> None:
    """Sign an override of exactly what a site holds back now, and print it.

    \b
    Examples:
      herald site sign-override --agent ams.sock --key glass.key --who ann --reason "ticket 7"
    """
    from controller.agent import override as records  # noqa: PLC0415
    from controller.agent.guard import change_hash, overridable  # noqa: PLC0415 (quick `herald --help`)

    status = _status(_agent(agent, site, lab))
    due = overridable(status.held)
    if not due:
        raise CliError(f"site {status.site} holds nothing back that an override could let go")
    expires_at = datetime.now(UTC) + timedelta(minutes=minutes)
    record = records.Override(status.site, change_hash(due), status.nonce, expires_at, who, reason)
    _print_record(
        records.sign_override(record, _key(key, lab)), as_json, {"change": record.change, "lets_go": len(due)}
    )


@app.app.command(cls=HeraldCommand)
def override(
    file: RecordFile, *, agent: Agent = None, site: SiteName = None, lab: Lab = None, as_json: Json = False
) -> None:
    """Bring a signed override to a site: it lets go exactly what it was signed for, once.

    \b
    Examples:
      herald site override override.txt --agent /run/herald/ams.sock
    """
    _bring(_agent(agent, site, lab), "/overrides", _read(file), as_json)


@app.app.command("sign-emergency", cls=HeraldCommand)
def sign_emergency(
    action: Annotated[Action, typer.Argument(metavar="ACTION", help="withdraw, announce or lift.")],
    cidrs: Cidrs,
    *,
    site: Annotated[str, typer.Option("--site", metavar="SITE", help="The site that it is for.")],
    who: Who,
    reason: Why,
    account: Annotated[str, typer.Option("--account", help="announce: whose prefixes they are.")] = "",
    asn: Annotated[int | None, typer.Option("--asn", help="announce: their origin.")] = None,
    key: Key = None,
    minutes: Minutes = 60.0,
    lab: Lab = None,
    as_json: Json = False,
) -> None:
    """Prepare an emergency action for one site, sign it, and print it: for the day when it is needed.

    \b
    Examples:
      herald site sign-emergency withdraw 192.0.2.0/24 --site ams --key glass.key --who ann --reason attack
      herald site sign-emergency announce 192.0.2.0/25 --site ams --account acme --who ann --reason hijack
    """
    text = _emergency(
        action, cidrs, site, said=(who, reason), whose=(account, asn), key=_key(key, lab), minutes=minutes
    )
    _print_record(text, as_json, {"action": action, "site": site})


@app.app.command(cls=HeraldCommand)
def emergency(
    file: RecordFile, *, agent: Agent = None, site: SiteName = None, lab: Lab = None, as_json: Json = False
) -> None:
    """Bring a signed emergency action to its site: it is carried out at once, once.

    \b
    Examples:
      herald site emergency withdraw-ams.txt --agent /run/herald/ams.sock
    """
    _bring(_agent(agent, site, lab), "/emergencies", _read(file), as_json)


@app.app.command("sign-release", cls=HeraldCommand)
def sign_release(
    *,
    who: Who,
    reason: Why,
    revoked: Annotated[
        list[str] | None,
        typer.Option("--revoked", metavar="CIDR", help="Not to be announced: repeat it."),
    ] = None,
    key: Key = None,
    minutes: Minutes = 15.0,
    agent: Agent = None,
    site: SiteName = None,
    lab: Lab = None,
    as_json: Json = False,
) -> None:
    """Sign that a quarantined agent may go on from its journal as it is, and print that.

    One whose journal is damaged begins another one: what its speaker has stands, and the controller brings
    the accounts anew. Put a sound copy of the journal back instead, where there is one.

    \b
    Examples:
      herald site sign-release --agent ams.sock --revoked 192.0.2.0/24 --who ann --reason "disk restored"
    """
    from controller.agent import epoch as records  # noqa: PLC0415
    from controller.bgp import parse_prefix  # noqa: PLC0415

    status = _status(_agent(agent, site, lab))
    life, _, serial = status.epoch.partition(":")
    if not status.fault or not serial:
        raise CliError(f"site {status.site} is not quarantined for its epoch: {status.fault or 'it runs'}")
    gone = tuple(sorted(parse_prefix(cidr) for cidr in revoked or ()))
    expires_at = datetime.now(UTC) + timedelta(minutes=minutes)
    nonce = secrets.token_hex(16)
    record = records.Release(status.site, life, int(serial), gone, nonce, expires_at, who, reason)
    _print_record(records.sign_release(record, _key(key, lab)), as_json, {"fault": status.fault})


@app.app.command(cls=HeraldCommand)
def release(
    file: RecordFile, *, agent: Agent = None, site: SiteName = None, lab: Lab = None, as_json: Json = False
) -> None:
    """Bring a signed release to a quarantined agent: it goes on, and takes off only what that revokes.

    \b
    Examples:
      herald site release release.txt --agent /run/herald/ams.sock
    """
    _bring(_agent(agent, site, lab), "/release-quarantine", _read(file), as_json)


def _now(action: Action, what: str) -> None:
    def command(
        cidrs: Cidrs,
        *,
        who: Who,
        reason: Why,
        account: Annotated[str, typer.Option("--account", help="announce: whose prefixes they are.")] = "",
        asn: Annotated[int | None, typer.Option("--asn", help="announce: their origin.")] = None,
        key: Key = None,
        agent: Agent = None,
        site: SiteName = None,
        lab: Lab = None,
        dry_run: DryRun = False,
        as_json: Json = False,
    ) -> None:
        socket = _agent(agent, site, lab)
        status = _status(socket)
        name = status.site
        text = _emergency(action, cidrs, name, said=(who, reason), whose=(account, asn), key=_key(key, lab))
        if dry_run:
            sent = sorted(cidr for cidr in cidrs if cidr in status.sent)
            _print_record(text, as_json, {"action": action, "site": name, "announced_now": sent})
            return
        _bring(socket, "/emergencies", text, as_json)

    command.__doc__ = f"""{what}

    \b
    Examples:
      herald site {action} 192.0.2.0/24 --agent /run/ams.sock --key glass.key --who ann --reason ticket-7
    """
    command.__name__ = action
    app.app.command(action, cls=HeraldCommand)(command)


_now("withdraw", "Withdraw prefixes at one site now, signed on the spot, until that is lifted.")
_now("announce", "Announce more-specifics of an account's prefixes at one site now, until that is lifted.")
_now("lift", "Lift what emergencies withdrew or announced at one site.")


def _emergency(
    action: Action,
    cidrs: Iterable[str],
    site: str,
    *,
    said: tuple[str, str],
    whose: tuple[str, int | None],
    key: bytes,
    minutes: float = 5.0,
) -> str:
    from controller.agent import override as records  # noqa: PLC0415
    from controller.bgp import parse_prefix  # noqa: PLC0415

    if action == "announce" and not whose[0]:
        raise CliError("announce needs --account: whose prefixes they are")
    expires_at = datetime.now(UTC) + timedelta(minutes=minutes)
    prefixes = tuple(parse_prefix(cidr) for cidr in cidrs)
    record = records.Emergency(site, action, prefixes, *whose, secrets.token_hex(16), expires_at, *said)
    return records.sign_emergency(record, key)


def _agent(agent: str | None, site: str | None, lab: str | None) -> str:
    """Return the agent's socket: the one given, or that of ``site`` in a running lab."""
    if agent is not None:
        return agent
    inventory = _inventory(lab)
    names = [s.name for s in inventory.sites]
    for found in inventory.sites:
        if found.name == site or (site is None and len(names) == 1):
            return found.agent_socket
    raise CliError(f"say which site: --site {' or --site '.join(names)} (or --agent SOCKET)")


def _key(key: Path | None, lab: str | None) -> bytes:
    path = key or Path(_inventory(lab).break_glass_key)
    try:
        raw = base64.b64decode(path.read_text().strip(), validate=True)
    except (OSError, UnicodeDecodeError, binascii.Error) as error:
        raise CliError(f"cannot read the break-glass key {path}: {error}") from error
    if len(raw) != 32:
        raise CliError(f"{path} is no Ed25519 key: it has {len(raw)} bytes, and must have 32")
    return raw


def _inventory(lab: str | None) -> Inventory:
    from controller.cli.find import find_inventory  # noqa: PLC0415

    return find_inventory(lab)


def _status(socket: str) -> SiteStatus:
    from controller.transport import messages  # noqa: PLC0415

    status: SiteStatus = _ask(socket, "GET", "/status", messages.SiteStatus)
    return status


def _bring(socket: str, path: str, text: str, as_json: bool) -> None:
    from controller.transport import messages  # noqa: PLC0415

    done: Done = _ask(socket, "POST", path, messages.Done, messages.Brought(text))
    if as_json:
        from controller.cli.output import print_json  # noqa: PLC0415

        print_json(done)
        return
    for line in done.done:
        typer.echo(line)


def _ask(
    socket: str, method: str, path: str, answer: Any, body: Any = None, *, name: str = "the agent"
) -> Any:
    """Ask an agent or a machine; its refusals are CliErrors in its own words."""
    from controller.transport.errors import TransportRefusedError  # noqa: PLC0415 (httpx is slow to import)
    from controller.transport.http import HttpLink  # noqa: PLC0415

    async def ask() -> Any:
        link = HttpLink(socket, name=name, deadline_s=15.0)
        try:
            return await link.call(method, path, answer, body=body)
        finally:
            await link.close()

    try:
        return asyncio.run(ask())
    except TransportRefusedError as error:
        raise CliError(str(error)) from error


def _body(status: SiteStatus) -> dict[str, Any]:
    import msgspec  # noqa: PLC0415

    from controller.agent.guard import change_hash, overridable  # noqa: PLC0415

    due = overridable(status.held)
    return {**msgspec.to_builtins(status), "change": change_hash(due) if due else ""}


def _read(file: str) -> str:
    try:
        return typer.get_text_stream("stdin").read() if file == "-" else Path(file).read_text()
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"cannot read {file}: {error}") from error


def _print_record(text: str, as_json: bool, also: dict[str, Any]) -> None:
    if as_json:
        from controller.cli.output import print_json  # noqa: PLC0415

        print_json({"record": text, **also})
        return
    typer.echo(text)


def _finish(answer: Card | Rows, as_json: bool) -> None:
    from controller.cli.output import print_answer, print_json  # noqa: PLC0415

    if as_json:
        print_json(answer.body if isinstance(answer, Card) else answer.rows)
    else:
        print_answer(answer)
