"""Inner pids to host pids (labs.runtimes.host_pids)."""

from __future__ import annotations

from labs.runtimes.host_pids import parse


def status(pid: int, parent: int, *seen: int) -> str:
    return f"Name:\tx:y\nPid:\t{pid}\nPPid:\t{parent}\nNSpid:\t{pid}\t" + "\t".join(map(str, seen)) + "\n"


def test_only_processes_below_the_owner_count() -> None:
    texts = [
        status(1, 0),
        status(100, 1),  # one lab's unshare
        status(101, 100, 1),
        status(102, 101, 7),
        status(200, 1),  # another lab's
        status(201, 200, 1),
        status(202, 201, 7),
    ]
    assert parse(100, texts) == {1: 101, 7: 102}
    assert parse(200, texts) == {1: 201, 7: 202}


def test_a_namespace_inside_the_labs_shows_the_labs_number() -> None:
    assert parse(100, [status(100, 1), status(101, 100, 1), status(102, 101, 9, 1)]) == {1: 101, 9: 102}


def test_a_process_without_the_line_is_left_out() -> None:
    assert parse(100, ["Pid:\t101\nPPid:\t100\n", "garbage"]) == {}
