"""What the live tests of Twitch share: settings for the scripted servers, and views of the events that must come."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from e2e.program import Event, Instance
from servers import twitch_chat as chat
from servers.scripted import Step
from servers.twitch_eventsub import TwitchEventSub
from servers.twitch_helix import Token, TwitchHelix
from servers.twitch_irc import TwitchIrc

TOPIC = "chat_stream"
TOKEN = "zq7unmistakable4token9x"
READER = chat.person("ronni")
ROOM = chat.person("dallas")
ROOMS = (ROOM, chat.person("houston"))


def irc_settings(server: TwitchIrc, token: str = "") -> dict[str, str]:
    account = {"TWITCH_OAUTH_TOKEN": token, "TWITCH_NICKNAME": READER.login} if token else {}
    return {"DATAFLOW_TWITCH_IRC_URL": server.ws_url} | account


class EventSub(NamedTuple):
    """EventSub with the Helix beside it."""

    socket: TwitchEventSub
    helix: TwitchHelix

    def settings(self, token: str = TOKEN) -> dict[str, str]:
        return {
            "DATAFLOW_TWITCH_EVENTSUB_URL": self.socket.url,
            "DATAFLOW_TWITCH_HELIX_URL": self.helix.url,
            "TWITCH_OAUTH_TOKEN": token,
            "TWITCH_NICKNAME": READER.login,
        }


@contextmanager
def eventsub(
    happenings: list[chat.Happening],
    sessions: list[list[Step]],
    *,
    token: Token | None = None,
    faults: list[dict[str, Any]] | None = None,
    **more: Any,
) -> Iterator[EventSub]:
    """Its sessions begin when all is subscribed to that the program wants of one channel. In the end it must have heard nothing
    from the program: Twitch closes sessions for it."""
    with (
        TwitchEventSub(happenings, sessions, **more) as socket,
        TwitchHelix(socket, [token or Token(TOKEN, READER)], list(ROOMS), faults=faults) as helix,
    ):
        yield EventSub(socket, helix)
        assert not socket.logged("message")


def of_kind(events: Iterable[Event], *kinds: str) -> list[Event]:
    return [event for event in events if event["payload"]["kind"] in kinds]


def ids(events: Iterable[Event]) -> list[str]:
    """Of what has an id of its own at Twitch, in the log's order."""
    return [event["id"].removeprefix("twitch:") for event in events if event["id"].startswith("twitch:")]


def gaps(events: Iterable[Event]) -> list[Event]:
    return of_kind(events, "gap")


def wait_chat(instance: Instance, condition: Callable[[list[Event]], bool], what: str) -> list[Event]:
    return instance.wait_tail(condition, what, TOPIC)


def wait_each_once(instance: Instance, happenings: Iterable[chat.Happening]) -> list[Event]:
    """Until every one of them is in the log; then, that each is there once, and nothing else of Twitch's."""
    expected = {happening.id for happening in happenings if happening.id}
    events = wait_chat(instance, lambda got: expected <= set(ids(got)), f"{len(expected)} records")
    assert_once(events, expected)
    return events


def assert_once(events: list[Event], expected: set[str]) -> None:
    counted = Counter(ids(events))
    assert counted.keys() == expected
    assert {ident for ident, count in counted.items() if count > 1} == set()


def texts(events: Iterable[Event]) -> dict[str, str]:
    return {event["id"]: event["payload"].get("message", "") for event in of_kind(events, "message")}
