"""``herald prefixes …``: the API's resources."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from controller.cli.options import Account, Json, Lab, Token, Url

if TYPE_CHECKING:
    from controller.cli.client import Object

Which = Annotated[str, typer.Argument(metavar="PREFIX", help="A CIDR such as 192.0.2.0/24, or an id.")]
Part = Annotated[str, typer.Argument(metavar="CIDR", help="The CIDR of the part.")]

prefixes = typer.Typer(
    name="prefixes",
    help="Onboarded prefixes, their BGP prefixes and bindings.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


def register(app: typer.Typer) -> None:
    """Add the group."""
    app.add_typer(prefixes)


@prefixes.command("list")
def list_(
    *, account: Account = None, url: Url = None, token: Token = None, lab: Lab = None, as_json: Json = False
) -> None:
    """List prefixes: what is wanted, what is to be, and what routers hold.

    \b
    Examples:
      herald prefixes list --account acme --json
    """
    from controller.cli.find import connect  # noqa: PLC0415 (quick `herald --help`)
    from controller.cli.output import print_json, print_table, state_text  # noqa: PLC0415
    from controller.cli.ownership import accounts_to_list  # noqa: PLC0415

    client = connect(url, token, lab).client
    found = [row for a in accounts_to_list(client, account) for row in client.prefixes(a)]
    if as_json:
        print_json(found)
        return
    print_table(
        ("prefix", "account", "asn", "approved", "advertised", "operational", "observed", "description"),
        (
            (
                r["cidr"], r["account_id"], r["asn"], "yes" if r["approved"] == "V" else "pending",
                "yes" if r["configured"]["advertised"] else "no",
                state_text(r["operational"]), state_text(r["observed"]), r["description"],
            )
            for r in found
        ),
    )  # fmt: skip


@prefixes.command()
def show(
    prefix: Which,
    *,
    account: Account = None,
    url: Url = None,
    token: Token = None,
    lab: Lab = None,
    as_json: Json = False,
) -> None:
    """Show one prefix with its BGP prefixes and bindings.

    \b
    Examples:
      herald prefixes show 192.0.2.0/24
    """
    from controller.cli.find import connect  # noqa: PLC0415
    from controller.cli.output import print_json, print_table, state_text  # noqa: PLC0415
    from controller.cli.ownership import find_prefix  # noqa: PLC0415

    client = connect(url, token, lab).client
    target = find_prefix(client, prefix, account)
    found = client.prefix(target.account_id, target.prefix_id)
    bgp = client.bgp_prefixes(target.account_id, target.prefix_id)
    bound = client.bindings(target.account_id, target.prefix_id)
    if as_json:
        print_json({**found, "bgp_prefixes": bgp, "bindings": bound})
        return
    _print(found)
    print_table(
        ("BGP prefix", "advertised", "sites", "prepends", "operational", "observed", "reason"),
        (
            (
                b["cidr"], "yes" if b["on_demand"]["advertised"] else "no",
                ", ".join(b["configured"]["sites"] or ["all"]), b["asn_prepend_count"],
                state_text(b["operational"]), state_text(b["observed"]), b["operational"]["reason"],
            )
            for b in bgp
        ),
    )  # fmt: skip
    print_table(
        ("binding", "service", "state"),
        ((b["cidr"], b["service_name"], b["provisioning"]["state"]) for b in bound),
    )


@prefixes.command()
def create(
    cidr: Annotated[str, typer.Argument(metavar="CIDR", help="At most /24 or /48 long.")],
    *,
    asn: Annotated[int | None, typer.Option("--asn", help="The origin AS; ours if left out.")] = None,
    description: Annotated[str, typer.Option("--description")] = "",
    account: Account = None,
    url: Url = None,
    token: Token = None,
    lab: Lab = None,
    as_json: Json = False,
) -> None:
    """Onboard a prefix; an operator approves it before it can be used.

    \b
    Examples:
      herald prefixes create 198.51.100.0/24 --asn 64511 --account globex
    """
    from controller.cli.find import connect  # noqa: PLC0415
    from controller.cli.ownership import the_account  # noqa: PLC0415

    client = connect(url, token, lab).client
    made = client.create_prefix(the_account(client, account), cidr, asn=asn, description=description)
    _answer(made, as_json, f"{cidr} is onboarded and waits for approval: herald prefixes approve {cidr}")


@prefixes.command()
def edit(
    prefix: Which,
    *,
    description: Annotated[str, typer.Option("--description", help="The new description.")],
    account: Account = None,
    url: Url = None,
    token: Token = None,
    lab: Lab = None,
    as_json: Json = False,
) -> None:
    """Change a prefix's description.

    \b
    Examples:
      herald prefixes edit 192.0.2.0/24 --description "Web servers"
    """
    from controller.cli.find import connect  # noqa: PLC0415
    from controller.cli.ownership import find_prefix  # noqa: PLC0415

    client = connect(url, token, lab).client
    target = find_prefix(client, prefix, account)
    made = client.describe_prefix(target.account_id, target.prefix_id, description)
    _answer(made, as_json, f"{target.cidr} is described as {description!r}")


@prefixes.command()
def approve(
    prefix: Which,
    *,
    account: Account = None,
    url: Url = None,
    token: Token = None,
    lab: Lab = None,
    as_json: Json = False,
) -> None:
    """Approve a prefix (operators).

    \b
    Examples:
      herald prefixes approve 198.51.100.0/24
    """
    from controller.cli.find import connect  # noqa: PLC0415
    from controller.cli.ownership import find_prefix  # noqa: PLC0415

    client = connect(url, token, lab).client
    target = find_prefix(client, prefix, account)
    made, change_set = client.approve_prefix(target.account_id, target.prefix_id)
    text = f"{target.cidr} is approved" if change_set else f"{target.cidr} was approved already"
    _answer({**made, "change_set": change_set}, as_json, text)


@prefixes.command()
def delete(
    prefix: Which,
    *,
    account: Account = None,
    url: Url = None,
    token: Token = None,
    lab: Lab = None,
    as_json: Json = False,
) -> None:
    """Delete a prefix that is not approved.

    \b
    Examples:
      herald prefixes delete 203.0.113.0/24
    """
    from controller.cli.find import connect  # noqa: PLC0415
    from controller.cli.ownership import find_prefix  # noqa: PLC0415

    client = connect(url, token, lab).client
    target = find_prefix(client, prefix, account)
    client.delete_prefix(target.account_id, target.prefix_id)
    _answer({"id": target.prefix_id, "cidr": target.cidr}, as_json, f"{target.cidr} is deleted")


@prefixes.command()
def bind(
    cidr: Part,
    service: Annotated[
        str, typer.Argument(metavar="SERVICE", help="The service's id (herald services list).")
    ],
    *,
    account: Account = None,
    url: Url = None,
    token: Token = None,
    lab: Lab = None,
    as_json: Json = False,
) -> None:
    """Bind a service to a prefix, or to a part of it once the whole is bound.

    \b
    Examples:
      herald prefixes bind 198.51.100.0/24 cdn
    """
    from controller.cli.find import connect  # noqa: PLC0415
    from controller.cli.ownership import find_prefix  # noqa: PLC0415

    client = connect(url, token, lab).client
    target = find_prefix(client, cidr, account)
    made, change_set = client.bind(target.account_id, target.prefix_id, cidr, service)
    _answer({**made, "change_set": change_set}, as_json, f"{cidr} is bound to {made['service_name']}")


@prefixes.command()
def unbind(
    cidr: Part,
    *,
    account: Account = None,
    url: Url = None,
    token: Token = None,
    lab: Lab = None,
    as_json: Json = False,
) -> None:
    """Delete a binding that no advertised BGP prefix stands on.

    \b
    Examples:
      herald prefixes unbind 198.51.100.0/24
    """
    from controller.cli.find import connect  # noqa: PLC0415
    from controller.cli.ownership import find_part, find_prefix  # noqa: PLC0415

    client = connect(url, token, lab).client
    target = find_prefix(client, cidr, account)
    found = find_part(client.bindings(target.account_id, target.prefix_id), cidr, "binding")
    change_set = client.unbind(target.account_id, target.prefix_id, str(found["id"]))
    _answer(
        {"id": found["id"], "cidr": cidr, "change_set": change_set}, as_json, f"{cidr} is no longer bound"
    )


@prefixes.command()
def split(
    cidr: Part,
    *,
    account: Account = None,
    url: Url = None,
    token: Token = None,
    lab: Lab = None,
    as_json: Json = False,
) -> None:
    """Make a part of a prefix a BGP prefix of its own, withdrawn (announce does it by itself).

    \b
    Examples:
      herald prefixes split 198.18.1.0/24
    """
    from controller.cli.find import connect  # noqa: PLC0415
    from controller.cli.ownership import find_prefix  # noqa: PLC0415

    client = connect(url, token, lab).client
    target = find_prefix(client, cidr, account)
    made, change_set = client.create_bgp_prefix(target.account_id, target.prefix_id, cidr)
    _answer(
        {**made, "change_set": change_set}, as_json, f"{cidr} is a BGP prefix in {target.cidr}, withdrawn"
    )


@prefixes.command()
def join(
    cidr: Part,
    *,
    account: Account = None,
    url: Url = None,
    token: Token = None,
    lab: Lab = None,
    as_json: Json = False,
) -> None:
    """Delete a withdrawn BGP prefix; the prefix around it stays.

    \b
    Examples:
      herald prefixes join 198.18.1.0/24
    """
    from controller.cli.find import connect  # noqa: PLC0415
    from controller.cli.ownership import find_part, find_prefix  # noqa: PLC0415

    client = connect(url, token, lab).client
    target = find_prefix(client, cidr, account)
    found = find_part(client.bgp_prefixes(target.account_id, target.prefix_id), cidr, "BGP prefix")
    change_set = client.delete_bgp_prefix(target.account_id, target.prefix_id, str(found["id"]))
    body = {"id": found["id"], "cidr": cidr, "change_set": change_set}
    _answer(body, as_json, f"{cidr} is no BGP prefix any more")


@prefixes.command()
def prepend(
    cidr: Part,
    count: Annotated[int, typer.Argument(metavar="COUNT", min=0, max=3, help="Times our AS is prepended.")],
    *,
    account: Account = None,
    url: Url = None,
    token: Token = None,
    lab: Lab = None,
    as_json: Json = False,
) -> None:
    """Prepend our AS to a BGP prefix's path.

    \b
    Examples:
      herald prefixes prepend 192.0.2.0/24 2
    """
    from controller.cli.find import connect  # noqa: PLC0415
    from controller.cli.ownership import find_part, find_prefix  # noqa: PLC0415

    client = connect(url, token, lab).client
    target = find_prefix(client, cidr, account)
    found = find_part(client.bgp_prefixes(target.account_id, target.prefix_id), cidr, "BGP prefix")
    made, change_set = client.edit_bgp_prefix(
        target.account_id, target.prefix_id, str(found["id"]), {"asn_prepend_count": count}
    )
    _answer({**made, "change_set": change_set}, as_json, f"{cidr} has {count} prepends")


def _answer(body: Object, as_json: bool, text: str) -> None:
    from controller.cli.output import print_json  # noqa: PLC0415

    if as_json:
        print_json(body)
    else:
        typer.echo(text)


def _print(found: Object) -> None:
    from controller.cli.output import state_text  # noqa: PLC0415

    origin = "our own AS" if found["asn"] is None else f"AS {found['asn']}"
    approved = "approved" if found["approved"] == "V" else "waits for approval"
    typer.echo(
        f"{found['cidr']}  account {found['account_id']}  origin {origin}  {approved}  id {found['id']}"
    )
    if found["description"]:
        typer.echo(found["description"])
    typer.echo(f"operational: {state_text(found['operational'])}  observed: {state_text(found['observed'])}")
