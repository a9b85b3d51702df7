"""The scripted Twitch chat is faithful: tmi.js, an independent client, holds its usual session with it, and tells its
listeners every kind of thing that happens in a chat, with its tags."""

import json
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from servers import twitch_chat as chat
from servers.scripted import Step
from servers.twitch_irc import TwitchIrc

pytestmark = pytest.mark.tmi
HERE = Path(__file__).resolve().parent / "tmi"
ROOM = chat.person("dallas")
ANN = chat.Author(chat.person("ann"), {"subscriber": "12", "moderator": "1"}, 14, "#FF7F50")
Told = dict[str, Any]
Client = Callable[..., Iterator[Told]]


@pytest.fixture
def tmi() -> Iterator[Client]:
    """Starts tmi.js; gives what it tells."""
    processes: list[subprocess.Popen[str]] = []

    def start(server: TwitchIrc, *login: str) -> Iterator[Told]:
        command = ["node", "client.mjs", str(server.port), "dallas", *login]
        process = subprocess.Popen(command, cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        return map(json.loads, process.stdout)

    yield start
    for process in processes:
        process.communicate()


def _until(told: Iterator[Told], event: str) -> list[Told]:
    got = []
    for one in told:
        got.append(one)
        if one["event"] == event:
            return got
    raise AssertionError(f"tmi.js ended without {event}: {got}")


def test_every_message_with_its_tags(tmi: Client) -> None:
    emotes = (chat.Emote("25", 0, 4), chat.Emote("1902", 6, 10), chat.Emote("25", 12, 16))
    first = chat.message(ROOM, ANN, 1, "Kappa Keepo Kappa", emotes=emotes, first=True)
    happenings = [
        first,
        chat.message(ROOM, chat.Author(chat.person("bob")), 2, "@ann ; \\ no", reply_to=first),
        chat.message(ROOM, ANN, 3, "\x01ACTION waves\x01"),
        *chat.messages(ROOM, 10, 200),
    ]
    script: list[Step] = [{"step": "play", "to": 3}, {"step": "ping_line"}, {"step": "play", "from": 3, "lines": 7}]
    with TwitchIrc(happenings, [script]) as server:
        told = tmi(server)
        got: list[Told] = []
        while len(got) < len(happenings):
            got += [one for one in _until(told, "message") if one["event"] in ("message", "warning", "error")]
        assert server.logged("pong_line")
        (login,) = server.logged("login")
        assert login["anonymous"]
    assert {one["event"] for one in got} == {"message"}
    for one, happening in zip(got, happenings, strict=True):
        channel, tags, text, by_itself = one["values"]
        ((_, event),) = happening.notifications
        assert (channel, by_itself, tags["id"]) == ("#dallas", False, happening.id)
        assert text == event["message"]["text"].removeprefix("\x01ACTION ").removesuffix("\x01")
        assert (tags["username"], tags["user-id"]) == (event["chatter_user_login"], event["chatter_user_id"])
        assert tags["display-name"] == event["chatter_user_name"]
        assert int(tags["tmi-sent-ts"]) == happening.time_ms
    tags = got[0]["values"][1]
    assert tags["emotes"] == {"25": ["0-4", "12-16"], "1902": ["6-10"]}
    assert (tags["badges-raw"], tags["badge-info-raw"]) == ("subscriber/12,moderator/1", "subscriber/14")
    assert (tags["mod"], tags["subscriber"], tags["first-msg"], tags["color"]) == (True, True, True, "#FF7F50")
    reply = got[1]["values"][1]
    assert reply["reply-parent-msg-id"] == first.id
    assert reply["reply-parent-msg-body"] == "Kappa Keepo Kappa"
    assert got[2]["values"][1]["message-type"] == "action"


def test_every_other_kind(tmi: Client) -> None:
    said = chat.message(ROOM, ANN, 1, "regrettable")
    happenings = [
        said,
        chat.message(ROOM, ANN, 2, "cheer100", bits=100),
        *chat.occasions(ROOM, 10),
        chat.delete(said, 20),
        chat.banish(ROOM, ANN.user, 21, 600),
        chat.banish(ROOM, ANN.user, 22),
        chat.room_state(ROOM, 23, slow=10),
        chat.notice(ROOM, 24, "msg_channel_blocked", "no"),
        chat.whisper(ROOM, 25, "ronni"),
        chat.host_target(ROOM, 26, "houston", 5),
        chat.clear(ROOM, 27),
    ]
    with TwitchIrc(happenings, [[{"step": "play"}]], accounts={"ronni": "secret"}) as server:
        told = tmi(server, "ronni", "oauth:secret")
        got = _until(told, "clearchat")
        (password,) = server.commands("PASS")
        assert password == "oauth:secret"
    events = [one["event"] for one in got]
    expected = ["connected", "globaluserstate", "join", "roomstate", "message", "cheer", "subscription", "resub", "subgift",
                "submysterygift", "raided", "usernotice", "usernotice", "usernotice", "messagedeleted", "timeout", "ban",
                "roomstate", "slowmode", "notice", "whisper", "message", "hosting", "clearchat"]  # fmt: skip
    assert events == expected
    by_event = {one["event"]: one["values"] for one in got}
    assert by_event["resub"][:4] == ["#dallas", "Faithful", 2, "Great stream -- keep it up!"]
    assert by_event["resub"][4]["msg-param-cumulative-months"] == "6"
    assert by_event["subgift"][1:4] == ["Faithful", 0, "Lucky"]
    assert by_event["submysterygift"][:3] == ["#dallas", "Faithful", 5]
    assert by_event["raided"][:3] == ["#dallas", "Raider", 42]
    assert by_event["messagedeleted"][:3] == ["#dallas", "ann", "regrettable"]
    assert by_event["messagedeleted"][3]["target-msg-id"] == said.id
    assert by_event["timeout"][:4] == ["#dallas", "ann", None, 600]
    assert by_event["ban"][:2] == ["#dallas", "ann"]
    assert by_event["slowmode"] == ["#dallas", True, 10]
    assert by_event["cheer"][1]["bits"] == "100"
    assert [one["values"][0] for one in got if one["event"] == "usernotice"] == ["unraid", "announcement", "viewermilestone"]


def test_wrong_login_is_told_as_it_is_by_twitch(tmi: Client) -> None:
    with TwitchIrc([], rooms=[ROOM], accounts={"ronni": "secret"}) as server:
        got = _until(tmi(server, "ronni", "oauth:wrong"), "refused")
        assert got[-1]["values"] == ["Login authentication failed"]
        assert len(server.logged("login")) == 1, "tmi.js takes it for final"


def test_reconnect_is_followed(tmi: Client) -> None:
    happenings = chat.messages(ROOM, 1, 4)
    sessions: list[list[Step]] = [[{"step": "play", "to": 2}, {"step": "reconnect"}], [{"step": "play", "from": 2}]]
    with TwitchIrc(happenings, sessions) as server:
        told = tmi(server)
        ids = [_until(told, "message")[-1]["values"][1]["id"] for _ in happenings]
        assert ids == [happening.id for happening in happenings]
        assert len(server.logged("connect")) == 2
