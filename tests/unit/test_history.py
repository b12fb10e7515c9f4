from __future__ import annotations

import msgspec
import pytest

from controller.bgp import Prefix
from controller.observe.bgp_message import parse_message
from controller.observe.bgp_update import Update
from controller.observe.event import Event, Kind
from controller.observe.history import held, held_at, never_lost, timeline
from tests.bgp_bytes import END_OF_RIB, notification, opening, update

P = "192.0.2.0/24"
MS = 1_000_000
ADDRESSES = {"x": "10.0.0.9", "y": "10.0.0.1", "z": "10.0.0.2"}
ASES = {"x": 64509, "y": 64501, "z": 64502}


class Story:
    """Events in order, a millisecond apart."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self._now = 0

    def tell(self, sender: str, receiver: str, kind: Kind, raw: bytes = b"", after_ms: int = 1) -> int:
        self._now += after_ms * MS
        message = parse_message(raw) if raw else None
        parsed = message if isinstance(message, Update) else Update()
        self.events.append(
            Event(
                seq=len(self.events) + 1,
                at_ns=self._now,
                sender=sender,
                receiver=receiver,
                sender_address=ADDRESSES[sender],
                receiver_address=ADDRESSES[receiver],
                sender_as=ASES[sender],
                receiver_as=ASES[receiver],
                kind=kind,
                announced=parsed.announced,
                withdrawn=parsed.withdrawn,
                raw=raw,
            )
        )
        return len(self.events)

    def up(
        self, sender: str, receiver: str = "x", restart_s: int | None = None, forwarding: bool = True
    ) -> int:
        self.tell(receiver, sender, "open", opening(ASES[receiver], restart_s=restart_s, forwarding=True))
        self.tell(sender, receiver, "open", opening(ASES[sender], restart_s=restart_s, forwarding=forwarding))
        return self.tell(sender, receiver, "up")

    def announce(self, sender: str, path: tuple[int, ...] = (1,), prefix: str = P) -> int:
        return self.tell(sender, "x", "update", update([prefix], path=path))

    def withdraw(self, sender: str, prefix: str = P) -> int:
        return self.tell(sender, "x", "update", update(withdrawn=[prefix]))

    def verdict(self, since: int, missed: int = 0) -> str:
        return never_lost(self.events, "x", P, since_seq=since, missed=missed).outcome


@pytest.fixture
def story() -> Story:
    made = Story()
    made.up("y")
    made.up("z")
    return made


def test_a_route_is_held_until_withdrawn(story: Story) -> None:
    begin = story.announce("y", (64501, 1))
    end = story.withdraw("y")
    (interval,) = held(story.events, "x", P)
    assert (interval.begin_seq, interval.end_seq, interval.as_path) == (begin, end, (64501, 1))
    assert interval.end_ns == interval.begin_ns + MS
    assert held_at(story.events, "x", P, interval.begin_ns) == [interval]
    assert held_at(story.events, "x", P, interval.begin_ns + MS) == []


def test_replaced_is_not_lost(story: Story) -> None:
    since = story.announce("y", (64501, 1))
    story.announce("y", (64501, 2, 1))
    assert story.verdict(since) == "pass"
    assert [i.as_path for i in held(story.events, "x", P)] == [(64501, 1), (64501, 2, 1)]


def test_handed_over_from_one_neighbour_to_the_other(story: Story) -> None:
    since = story.announce("y")
    story.announce("z")
    story.withdraw("y")
    assert story.verdict(since) == "pass"
    story.withdraw("z")
    assert story.verdict(since) == "fail"


def test_lost_for_a_moment_is_lost_and_the_reason_says_how_long(story: Story) -> None:
    since = story.announce("y")
    story.withdraw("y")
    story.announce("z")
    verdict = never_lost(story.events, "x", P, since_seq=since, missed=0)
    assert verdict.outcome == "fail"
    assert "for 1.000 ms" in verdict.reason


def test_what_was_lost_before_does_not_count(story: Story) -> None:
    story.announce("y")
    gone = story.withdraw("y")
    back = story.announce("y")
    assert story.verdict(back) == "pass"
    assert story.verdict(gone) == "fail"


def test_never_held_is_a_failure(story: Story) -> None:
    assert story.verdict(0) == "fail"
    assert story.verdict(len(story.events)) == "fail"


def test_a_looped_path_is_no_route(story: Story) -> None:
    since = story.announce("y", (64501, 64509, 1))
    assert story.verdict(since) == "fail"
    assert not held(story.events, "x", P)[0].usable


def test_other_prefixes_and_receivers_do_not_matter(story: Story) -> None:
    since = story.announce("y")
    story.withdraw("y", "192.0.2.0/25")
    story.tell("y", "z", "update", update(withdrawn=[P]))
    assert story.verdict(since) == "pass"


def test_nothing_is_said_when_something_was_missed(story: Story) -> None:
    since = story.announce("y")
    assert story.verdict(since, missed=1) == "inconclusive"
    story.events[-1] = msgspec.structs.replace(story.events[-1], error="a prefix is cut off (byte 40)")
    assert story.verdict(since) == "inconclusive"


def test_the_end_of_a_session_empties_it(story: Story) -> None:
    since = story.announce("y")
    story.tell("y", "x", "down")
    assert story.verdict(since) == "fail"


@pytest.mark.parametrize("who", ["y", "x"])
def test_graceful_restart_keeps_routes_unless_the_receiver_ended(who: str) -> None:
    story = Story()
    story.up("y", restart_s=120)
    since = story.announce("y")
    story.tell(who, "x" if who == "y" else "y", "down")
    assert story.verdict(since) == ("pass" if who == "y" else "fail")
    assert [i.stale for i in held(story.events, "x", P)][1:] == ([True] if who == "y" else [])


def test_a_stale_route_is_refreshed_or_ends_with_the_end_of_rib() -> None:
    for again in (True, False):
        story = Story()
        story.up("y", restart_s=120)
        since = story.announce("y")
        story.tell("y", "x", "down")
        story.up("y", restart_s=120)
        if again:
            story.announce("y")
        story.tell("y", "x", "update", END_OF_RIB)
        assert story.verdict(since) == ("pass" if again else "fail")


def test_a_stale_route_ends_with_the_restart_time_a_lost_state_or_a_notification() -> None:
    late, forgot, notified = Story(), Story(), Story()
    for story in (late, forgot, notified):
        story.up("y", restart_s=2)
        story.announce("y")
    late.tell("y", "x", "down")
    late.tell("z", "x", "keepalive", after_ms=2001)
    forgot.tell("y", "x", "down")
    forgot.up("y", restart_s=2, forwarding=False)
    notified.tell("y", "x", "notification", notification(6, 4))
    notified.tell("y", "x", "down")
    for story in (late, forgot, notified):
        assert story.verdict(4) == "fail"
    assert [i.end_ns for i in held(late.events, "x", P)][-1] == late.events[4].at_ns + 2000 * MS


def test_the_timeline_reads_like_what_happened(story: Story) -> None:
    story.announce("y", (64501, 64500))
    story.tell("z", "x", "update", update([f"10.{i}.0.0/16" for i in range(9)]))
    story.withdraw("y")
    story.tell("y", "x", "notification", notification(6, 2))
    story.tell("y", "x", "down")
    lines = timeline(story.events[6:], Prefix(P))
    assert [line.split(" ms  ")[1] for line in lines] == [
        "#7     y → x  announces 192.0.2.0/24  64501 64500",
        "#9     y → x  withdraws 192.0.2.0/24",
        "#10    y → x  NOTIFICATION Cease/Administrative Shutdown",
        "#11    y → x  session down",
    ]
    assert any("and 8 more" in line for line in timeline(story.events))


def test_several_paths_on_one_session_are_not_judged(story: Story) -> None:
    story.announce("y")
    story.events[-1] = msgspec.structs.replace(story.events[-1], add_path=True)
    verdict = never_lost(story.events, "x", P, since_seq=len(story.events), missed=0)
    assert verdict.outcome == "inconclusive"
    assert "ADD-PATH" in verdict.reason
    other = never_lost(story.events, "x", "198.51.100.0/24", since_seq=len(story.events), missed=0)
    assert other.outcome == "fail"
