"""The scripted Twitch chat does what Twitch's documentation and its script say, seen by the client side of the library
it stands on."""

import asyncio
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from servers import twitch_chat as chat
from servers.certificates import LoopbackCertificates
from servers.scripted import Step
from servers.twitch_irc import TwitchIrc
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

ROOM = chat.person("dallas")
OTHER = chat.person("houston")
LINES = chat.messages(ROOM, 1, 12)
ANONYMOUS = "CAP REQ :twitch.tv/tags twitch.tv/commands\r\nPASS x\r\nNICK justinfan1\r\n"


async def _lines(client: ClientConnection, end: str) -> list[str]:
    """Lines up to the one that holds `end`, put together from whatever messages they come in."""
    stream = ""
    while not (end in stream and stream.endswith("\r\n")):
        message = await asyncio.wait_for(client.recv(), 10)
        stream += message if isinstance(message, str) else message.decode()
    return stream.split("\r\n")[:-1]


def _session(server: TwitchIrc, use: Callable[[ClientConnection], Awaitable[Any]]) -> Any:
    async def go() -> Any:
        async with connect(server.ws_url) as client:
            return await use(client)

    with server:
        return asyncio.run(go())


def _said(steps: list[Step], end: str, hello: str = ANONYMOUS + "JOIN #dallas\r\n", **more: Any) -> list[str]:
    async def use(client: ClientConnection) -> list[str]:
        await client.send(hello)
        return await _lines(client, end)

    return list(_session(TwitchIrc(LINES, [steps], **more), use))


def test_login_and_join_as_documented() -> None:
    hello = "CAP REQ :twitch.tv/tags twitch.tv/commands\r\nPASS oauth:secret\r\nNICK Ronni\r\nJOIN #dallas\r\n"
    got = _said([], "ROOMSTATE", hello, accounts={"ronni": "secret"})
    commands = [line.split(" ")[2 if line.startswith("@") else 1] for line in got]
    assert commands == ["CAP", "001", "002", "003", "004", "375", "372", "376", "GLOBALUSERSTATE",
                        "JOIN", "353", "366", "USERSTATE", "ROOMSTATE"]  # fmt: skip
    assert got[0] == ":tmi.twitch.tv CAP * ACK :twitch.tv/tags twitch.tv/commands"
    assert f"room-id={ROOM.id}" in got[-1]


@pytest.mark.parametrize(
    ("password", "why"), [("oauth:wrong", "Login authentication failed"), ("secret", "Improperly formatted auth")]
)
def test_wrong_login(password: str, why: str) -> None:
    got = _said([], "NOTICE", f"PASS {password}\r\nNICK ronni\r\n", accounts={"ronni": "secret"})
    assert got == [f":tmi.twitch.tv NOTICE * :{why}"]


PLAYS: dict[str, Step] = {
    "whole": {},
    "many a message": {"lines": 5},
    "cut": {"cut": 17},
    "cut between CR and LF too": {"cut": 1, "to": 2},
    "fragments": {"as": "fragments", "size": 9},
    "pieces": {"as": "pieces", "size": 9},
}


@pytest.mark.parametrize("how", PLAYS.values(), ids=PLAYS.keys())
def test_lines_arrive_however_they_are_cut(how: Step) -> None:
    expected = [happening.line for happening in LINES[: how.get("to", len(LINES))]]
    got = _said([{"step": "play", **how}], expected[-1])
    assert got[-len(expected) :] == expected


def test_order_is_a_lists_business() -> None:
    got = _said([{"step": "play", "order": [0, 2, 2, 1, 11]}], LINES[11].line)
    assert got[-5:] == [LINES[number].line for number in (0, 2, 2, 1, 11)]


def test_what_was_not_asked_for_is_left_out() -> None:
    happenings = [LINES[0], chat.clear(ROOM, 90), *chat.occasions(ROOM, 100), LINES[1]]
    server = TwitchIrc(happenings, [[{"step": "play"}]])

    async def use(client: ClientConnection) -> list[str]:
        await client.send("NICK justinfan1\r\nJOIN #dallas\r\n")
        return await _lines(client, LINES[1].line.partition(" ")[2])

    got = _session(server, use)
    assert got[-2:] == [happening.line.partition(" ")[2] for happening in LINES[:2]]
    assert "ROOMSTATE" not in "".join(got)


def test_unknown_and_suspended_channels() -> None:
    async def use(client: ClientConnection) -> list[str]:
        await client.send(ANONYMOUS + "JOIN #nobody,#gone,#dallas\r\n")
        return await _lines(client, "ROOMSTATE #dallas")

    got = _session(TwitchIrc(LINES, suspended=("gone",)), use)
    assert not [line for line in got if "#nobody" in line]
    assert next(line for line in got if "#gone" in line).startswith("@msg-id=msg_channel_suspended ")


@pytest.mark.parametrize("answer", ["ignored", "disconnect"])
def test_too_many_joins(answer: str) -> None:
    rooms = [chat.person(f"room{number}") for number in range(25)]
    server = TwitchIrc([], [[{"step": "handshake", "flood": answer}]], rooms=rooms)

    async def use(client: ClientConnection) -> list[str]:
        await client.send(ANONYMOUS)
        for room in rooms:
            await client.send(f"JOIN #{room.login}\r\n")
        if answer == "disconnect":
            with pytest.raises(ConnectionClosed):
                while True:
                    await asyncio.wait_for(client.recv(), 10)
            return []
        await client.send("PING :last\r\n")
        return await _lines(client, "PONG")

    got = _session(server, use)
    assert len(server.logged("join")) == 20
    assert len(server.logged("join_flood")) == (1 if answer == "disconnect" else 5)
    assert len([line for line in got if "ROOMSTATE" in line]) == (0 if answer == "disconnect" else 20)


def test_handshake_faults() -> None:
    assert any(" CAP * NAK " in line for line in _said([{"step": "handshake", "cap": "NAK"}], " 376 ", ANONYMOUS))
    joined = _said([{"step": "handshake", "roomstate": False}, {"step": "play", "to": 1}], LINES[0].line)
    assert any(" 366 " in line for line in joined)
    assert not [line for line in joined if "ROOMSTATE" in line]


def test_faults_of_the_stream() -> None:
    """Bytes that are no UTF-8, a long line, RECONNECT and each close code come as they are."""

    async def raw(client: ClientConnection) -> bytes:
        await client.send(ANONYMOUS + "JOIN #dallas\r\n")
        while True:
            message = await asyncio.wait_for(client.recv(decode=False), 10)
            if b"\xff" in message:
                return message

    damaged = b":a!a@a PRIVMSG #dallas :\xff\xfe"
    assert _session(
        TwitchIrc(LINES, [[{"step": "joined", "channels": ["dallas"]}, {"step": "bytes", "hex": damaged.hex()}]]), raw
    )
    long = _said([{"step": "joined", "channels": ["dallas"]}, {"step": "long", "bytes": 17000}], "xxx")
    assert len(long[-1]) == 17000
    again = _said([{"step": "joined", "channels": ["dallas"]}, {"step": "reconnect"}], "RECONNECT")
    assert again[-1] == ":tmi.twitch.tv RECONNECT"

    async def closed(client: ClientConnection) -> int | None:
        with pytest.raises(ConnectionClosed) as caught:
            await asyncio.wait_for(client.recv(), 10)
        return caught.value.rcvd.code if caught.value.rcvd else None

    for code in (1000, 1001, 1008, 1011, 1012, 4000):
        assert _session(TwitchIrc([], [[{"step": "close", "code": code}]]), closed) == code
    assert _session(TwitchIrc([], [[{"step": "drop"}]]), closed) is None


@pytest.mark.parametrize("fault", ["expired", "wrong_name"])
def test_certificates_that_must_be_refused(tmp_path: Path, fault: str) -> None:
    certificates = LoopbackCertificates(tmp_path)
    trusting = ssl.create_default_context(cafile=str(certificates.authority))

    async def go() -> None:
        async with connect(server.ws_url, ssl=trusting):
            pass

    with TwitchIrc([], tls=getattr(certificates, fault)) as server, pytest.raises(ssl.SSLCertVerificationError) as caught:
        asyncio.run(go())
    assert ("expired" if fault == "expired" else "not valid for") in str(caught.value)


def test_each_happening_has_one_line_and_its_notifications_agree() -> None:
    first = chat.message(
        ROOM, chat.Author(chat.person("ann"), {"moderator": "1"}), 500, "Kappa x", emotes=(chat.Emote("25", 0, 4),)
    )
    copy = chat.message(OTHER, chat.Author(chat.person("ann")), 501, "Kappa x", source=first)
    for happening in [*LINES, *chat.occasions(ROOM, 600), first, copy, chat.delete(first, 700), chat.clear(ROOM, 701)]:
        assert "\n" not in happening.line
        assert f"#{happening.room.login}" in happening.line
        assert f"tmi-sent-ts={happening.time_ms}" in happening.line
        for _, event in happening.notifications:
            assert event["broadcaster_user_id"] == happening.room.id
            if happening.id:
                assert event["message_id"] == happening.id
                assert f";id={happening.id};" in happening.line
    ((_, event),) = first.notifications
    assert [part["text"] for part in event["message"]["fragments"]] == ["Kappa", " x"]
    assert f"source-id={first.id}" in copy.line
