"""``herald serve``, ``agent`` and ``machine``: parse what they are told, and run them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from controller.cli.options import Database

StateDir = Annotated[Path, typer.Option("--state-dir", help="Where it keeps what must survive a restart.")]
Socket = Annotated[Path, typer.Option("--socket", help="The unix socket to serve on.")]
Site = Annotated[str, typer.Option("--site", help="The site's name.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    for command in (serve, agent, machine):
        app.command()(command)


def serve(
    *,
    state_dir: StateDir,
    socket: Annotated[Path | None, typer.Option("--socket", help="Serve on this unix socket.")] = None,
    listen: Annotated[
        str | None, typer.Option("--listen", metavar="HOST:PORT", help="Serve on TCP instead.")
    ] = None,
    database: Database = None,
    site: Annotated[
        list[str] | None,
        typer.Option("--site", metavar="NAME=AGENT_SOCKET", help="A site and its agent; give one for each."),
    ] = None,
    inventory: Annotated[
        Path | None, typer.Option("--inventory", help="Routers to observe (inventory.json).")
    ] = None,
    validation: Annotated[
        Path | None,
        typer.Option("--validation", metavar="FILE", help="Sources of IRR, RPKI and DNS (JSON, YAML, TOML)."),
    ] = None,
    policy: Annotated[
        Path | None,
        typer.Option("--policy", metavar="FILE", help="The guards' policy (TOML); see herald policy check."),
    ] = None,
    tls_cert: Annotated[
        Path | None, typer.Option("--tls-cert", help="TLS: the certificate and its chain (PEM).")
    ] = None,
    tls_key: Annotated[
        Path | None, typer.Option("--tls-key", help="TLS: the certificate's key (PEM, no pass phrase).")
    ] = None,
    tls_client_ca: Annotated[
        Path | None, typer.Option("--tls-client-ca", help="TLS: clients need a certificate signed by these.")
    ] = None,
    insecure: Annotated[
        bool, typer.Option("--insecure", help="Listen beyond loopback without TLS: tokens go in clear.")
    ] = False,
    rate_limit: Annotated[
        str | None,
        typer.Option(
            "--rate-limit",
            metavar="CALLS/SECONDS",
            help="Of each customer's or task's token; operators have 50 times as much. [1200/300]",
        ),
    ] = None,
    lab: Annotated[
        bool,
        typer.Option("--lab", help="Let webhooks go to private addresses; keep notifications in files, too."),
    ] = False,
) -> None:
    """Run the API, the compiler and the roll-outs; SIGHUP reads the certificate again.

    \b
    Examples:
      herald serve --state-dir /var/lib/herald --socket /run/herald/api.sock --site ams=/run/ams.sock
      herald serve --state-dir DIR --listen 192.0.2.1:8443 --tls-cert api.pem --tls-key api.key
      herald serve --state-dir DIR --listen 127.0.0.1:8080 --database postgresql://herald@db1/herald
    """
    if (socket is None) == (listen is None):
        raise typer.BadParameter("give one of them", param_hint="--socket or --listen")
    sites: dict[str, str] = {}
    for text in site or []:
        name, equals, address = text.partition("=")
        if not name or not equals or not address:
            raise typer.BadParameter(f"{text!r} is no NAME=AGENT_SOCKET", param_hint="--site")
        if name in sites:
            raise typer.BadParameter(f"site {name!r} is given twice", param_hint="--site")
        sites[name] = address
    if (tls_cert is None) != (tls_key is None) or (tls_client_ca is not None and tls_cert is None):
        raise typer.BadParameter("give both of them", param_hint="--tls-cert and --tls-key")
    from controller.serve import Front, run_serve  # noqa: PLC0415 (each process loads its own part only)
    from controller.transport.tls import TlsFiles  # noqa: PLC0415

    tls = None if tls_cert is None or tls_key is None else TlsFiles(tls_cert, tls_key, tls_client_ca)
    run_serve(
        state_dir=state_dir,
        socket=socket,
        listen=listen,
        sites=sites,
        inventory=inventory,
        validation=validation,
        front=Front(tls, insecure, rate_limit),
        lab=lab,
        database=database,
        policy=policy,
    )


def agent(
    site: Site,
    state_dir: StateDir,
    socket: Socket,
    config: Annotated[Path, typer.Option("--config", help="Its speaker and machines (JSON).")],
) -> None:
    """Run one site's agent.

    \b
    Examples:
      herald agent --site ams --state-dir DIR --socket /run/ams.sock --config ams.json
    """
    from controller.agent.process import run_agent  # noqa: PLC0415

    run_agent(site, state_dir, socket, config)


def machine(
    site: Site,
    name: Annotated[str, typer.Option("--name", help="The machine's name.")],
    state_dir: StateDir,
    socket: Socket,
) -> None:
    """Run one machine of a site: it holds bindings as local routes in its network namespace.

    \b
    Examples:
      herald machine --site ams --name ams1 --state-dir DIR --socket /run/ams1.sock
    """
    from controller.machine.process import run_machine  # noqa: PLC0415

    run_machine(site, name, state_dir, socket)
