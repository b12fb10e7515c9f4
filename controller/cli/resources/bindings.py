"""``herald bindings …``."""

from __future__ import annotations

from controller.cli.answers import Card, Column, Done, Object, Rows
from controller.cli.call import Call
from controller.cli.frame import Commands
from controller.cli.options import Cidr, MaybePrefix, Service
from controller.cli.ownership import Target, find_part

COLUMNS = (
    Column("binding", "cidr"),
    Column("service", "service_name"),
    Column("state", "provisioning.state", rank=1),
    Column("service id", "service_id", rank=2),
    Column("id", "id", rank=3),
)
OF_ALL = (*COLUMNS[:3], Column("account", "account_id", rank=1), *COLUMNS[3:])

app = Commands("bindings", "Services bound to prefixes: list, show, add, delete.")


@app.reads("list")
def list_(call: Call, prefix: MaybePrefix = None) -> Rows:
    """List bindings: of one prefix, or of all.

    \b
    Examples:
      herald bindings list
      herald bindings list 192.0.2.0/24 --json
    """
    rows = [
        {"account_id": target.account_id, "prefix_id": target.prefix_id, **row}
        for target in call.prefixes(prefix)
        for row in call.client.bindings(target.account_id, target.prefix_id)
    ]
    return Rows(rows, OF_ALL, "Nothing is bound: herald bindings add CIDR SERVICE")


@app.reads("show")
def show(call: Call, cidr: Cidr) -> Card:
    """Show one binding.

    \b
    Examples:
      herald bindings show 192.0.2.0/24
    """
    target, found = _find(call, cidr)
    body, etag = call.client.tagged(target.path("bindings", str(found["id"])))
    return Card({**body, "etag": etag}, (*COLUMNS, Column("etag", "etag")))


@app.writes("add", rolls=True)
def add(call: Call, cidr: Cidr, service: Service) -> Done:
    """Bind a service to a prefix, or to a part of it once the whole is bound.

    \b
    Examples:
      herald bindings add 198.51.100.0/24 cdn --wait sent
    """
    target = call.prefix(cidr)
    made = call.client.write("POST", target.path("bindings"), {"cidr": cidr, "service_id": service})
    return Done(made, f"{cidr} is bound to {made.result.get('service_name', service)}")


@app.writes("delete", rolls=True, matches=True)
def delete(call: Call, cidr: Cidr) -> Done:
    """Delete a binding that no advertised BGP prefix stands on.

    \b
    Examples:
      herald bindings delete 198.51.100.0/24 --dry-run
    """
    target, found = _find(call, cidr)
    made = call.client.write("DELETE", target.path("bindings", str(found["id"])))
    also = {"id": found["id"], "cidr": found["cidr"]}
    return Done(made, f"{found['cidr']} is no longer bound to {found['service_name']}", also=also)


def _find(call: Call, cidr: str) -> tuple[Target, Object]:
    target = call.prefix(cidr)
    return target, find_part(call.client.all(target.path("bindings")), cidr, "binding")
