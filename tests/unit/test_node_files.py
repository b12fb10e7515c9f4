"""What a node sees (labs.runtimes.filesystem) and what its kernel tells of it."""

from __future__ import annotations

from pathlib import Path

import pytest

from labs.nodes.frr import wanted
from labs.runtimes.errors import HostRefusesError, SetupCommandError
from labs.runtimes.filesystem import View, accounts, shadows
from labs.runtimes.host import explain
from labs.runtimes.node import parse_addresses
from labs.topology.model import Bind


def view(*targets: str) -> View:
    binds = tuple(Bind(Path("/source"), target, True) for target in targets)
    return View("r1", Path("/run-of-r1"), Path("/stage"), binds)


def test_etc_is_always_shadowed_and_other_folders_only_where_something_is_missing() -> None:
    targets = ["/etc/bird/bird.conf", "/usr/bin/env", "/usr/lib/no-such-thing/x", "/run/x"]
    assert shadows(view(*targets), targets) == {
        "/etc": ["/etc/bird/bird.conf"],
        "/usr/lib": ["/usr/lib/no-such-thing/x"],
    }


def test_a_target_in_a_folder_of_the_root_that_does_not_exist_is_refused() -> None:
    with pytest.raises(SetupCommandError, match=r"node r1: .*/no-such-folder/x"):
        shadows(view("/no-such-folder/x"), ["/no-such-folder/x"])


def test_accounts_are_mapped_to_the_labs_owner_and_others_stay() -> None:
    passwd, group = accounts(
        "root:x:0:0::/:/bin/sh\nfrr:x:103:107::/:/x\n", "frr:x:107:\n", {"frr"}, {"frr", "frrvty"}
    )
    assert passwd.splitlines() == ["root:x:0:0::/:/bin/sh", "frr:x:0:0::/nonexistent:/usr/sbin/nologin"]
    assert group.splitlines() == ["frr:x:0:", "frrvty:x:0:"]


def test_addresses_are_read_without_link_local_and_loopback_ones() -> None:
    output = '[]\n[{"ifname":"lo","addr_info":[{"local":"127.0.0.1","prefixlen":8,"scope":"host"}]},' + (
        '{"ifname":"eth1","addr_info":[{"local":"10.0.0.1","prefixlen":24,"scope":"global"},'
        '{"local":"fe80::1","prefixlen":64,"scope":"link"},{"local":"fd00::1","prefixlen":64,"scope":"global"}]}]\n'
    )
    assert parse_addresses(output) == {"lo": (), "eth1": ("10.0.0.1/24", "fd00::1/64")}


def test_frr_daemons_that_the_file_switches_on_are_started_after_zebra() -> None:
    assert wanted("# x\nzebra=yes\nbgpd=yes\nstaticd=yes\nospfd=no\nbfdd=yes\n") == ["staticd", "bfdd"]


@pytest.mark.parametrize(
    ("name", "forbids", "advice"),
    [
        ("kernel.unprivileged_userns_clone", "0", "sysctl -w kernel.unprivileged_userns_clone=1"),
        (
            "kernel.apparmor_restrict_unprivileged_userns",
            "1",
            "kernel.apparmor_restrict_unprivileged_userns=0",
        ),
        ("user.max_user_namespaces", "0", "user.max_user_namespaces=10000"),
    ],
)
def test_a_host_that_forbids_user_namespaces_is_told_which_sysctl(
    name: str, forbids: str, advice: str
) -> None:
    told = explain(
        "unshare failed: Operation not permitted", lambda asked: forbids if asked == name else None
    )
    assert advice in told
    assert "\n" not in str(HostRefusesError(told))
