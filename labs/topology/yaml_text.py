"""A design as containerlab's YAML (pure)."""

from __future__ import annotations

from labs.topology.configs import bird, exabgp, frr, gobgp, openbgpd
from labs.topology.design import Design, Node

TARGETS = {
    "bird": [(bird.CONFIG, bird.TARGET)],
    "frr": [(frr.CONFIG, frr.TARGET), ("configs/{name}/daemons", "/etc/frr/daemons")],
    "gobgp": [(gobgp.CONFIG, gobgp.TARGET)],
    "openbgpd": [(openbgpd.CONFIG, openbgpd.TARGET)],
    "site": [(exabgp.CONFIG, exabgp.TARGET), (gobgp.CONFIG, gobgp.TARGET), (bird.CONFIG, bird.TARGET)],
    "linux": [],
}


def render_topology(design: Design) -> str:
    """Return the topology file: nodes without a management network, links, and our labels."""
    lines = [
        f"name: {design.name}",
        "# No management network: what is not a link of this lab carries nothing.",
        "mgmt:",
        "  skip-when-unused: true",
        "topology:",
        "  defaults:",
        "    kind: linux",
        "    network-mode: none",
        "    image-pull-policy: Never",
        "    sysctls:",
        "      net.ipv4.ip_forward: 1",
        "      net.ipv6.conf.all.forwarding: 1",
        "      net.ipv6.conf.all.disable_ipv6: 0",
        "  nodes:",
    ]
    for node in design.nodes.values():
        lines += _node(design, node)
    lines.append("  links:")
    lines += [f'    - endpoints: ["{k.a}:{k.a_interface}", "{k.b}:{k.b_interface}"]' for k in design.links]
    return "\n".join(lines) + "\n"


def _node(design: Design, node: Node) -> list[str]:
    daemon = "${%s:=%s}" % node.speaker if node.daemon == "site" else node.daemon  # noqa: UP031  (braces)
    image = "host" if node.daemon == "linux" else daemon
    lines = [f"    {node.name}:", f"      image: herald/{image}:latest", "      labels:"]
    lines += [f"        herald.role: {node.role}", f"        herald.kind: {daemon}"]
    if node.site:
        lines.append(f"        herald.site: {node.site}")
    if TARGETS[node.daemon]:
        lines.append("      binds:")
        lines += [
            f"        - {source.format(name=node.name)}:{target}:ro"
            for source, target in TARGETS[node.daemon]
        ]
    lines.append("      exec:")
    lines += [f"        - {command}" for command in design.addresses(node.name) + node.exec]
    return lines
