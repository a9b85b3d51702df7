"""The scripted EventSub and Helix do what Twitch's documentation and their scripts say, seen by the client side of the
library that EventSub stands on and by Python's own HTTP client."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

import pytest
from servers import twitch_chat as chat
from servers.scripted import Step
from servers.twitch_eventsub import TwitchEventSub
from servers.twitch_helix import Token, TwitchHelix
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

ROOM = chat.person("dallas")
READER = Token("secret", chat.person("ronni"), ("user:read:chat",))
SAID = chat.messages(ROOM, 1, 5)
Message = dict[str, Any]


class Twitch(NamedTuple):
    eventsub: TwitchEventSub
    helix: TwitchHelix


@contextmanager
def twitch(happenings: list[chat.Happening], steps: list[list[Step]], **more: Any) -> Iterator[Twitch]:
    helix_options = {name: more.pop(name) for name in ("faults", "subscriptions") if name in more}
    with (
        TwitchEventSub(happenings, steps, **more) as eventsub,
        TwitchHelix(eventsub, [READER], [ROOM], **helix_options) as helix,
    ):
        yield Twitch(eventsub, helix)


def call(helix: TwitchHelix, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    sent = {"Authorization": "Bearer secret", "Client-Id": READER.client_id} | {
        name.replace("_", "-"): value for name, value in headers.items()
    }
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(helix.url + path, data, sent, method=method)
    try:
        with urllib.request.urlopen(request, timeout=10) as response:
            return response.status, json.loads(response.read() or b"null")
    except urllib.error.HTTPError as error:
        return error.code, json.loads(error.read())


def wish(session_id: str, kind: str = "channel.chat.message", **condition: str) -> Message:
    return {
        "type": kind,
        "version": "1",
        "condition": {"broadcaster_user_id": ROOM.id, "user_id": READER.user.id} | condition,
        "transport": {"method": "websocket", "session_id": session_id},
    }


async def message(client: ClientConnection) -> Message:
    got: Message = json.loads(await asyncio.wait_for(client.recv(), 10))
    return got


async def subscribed(client: ClientConnection, helix: TwitchHelix, *kinds: str) -> Message:
    welcome = await message(client)
    for kind in kinds or ("channel.chat.message",):
        status, answer = await asyncio.to_thread(
            call, helix, "POST", "/helix/eventsub/subscriptions", wish(welcome["payload"]["session"]["id"], kind)
        )
        assert status == 202, answer
        assert answer["data"][0]["status"] == "enabled"
    return welcome


def session(there: Twitch, use: Callable[[ClientConnection], Awaitable[Any]], query: str = "") -> Any:
    async def go() -> Any:
        async with connect(there.eventsub.url + query) as client:
            return await use(client)

    return asyncio.run(go())


async def closing(client: ClientConnection) -> int | None:
    with pytest.raises(ConnectionClosed) as caught:
        while True:
            await asyncio.wait_for(client.recv(), 10)
    return caught.value.rcvd.code if caught.value.rcvd else None


def test_welcome_and_notifications() -> None:
    happenings = [SAID[0], *chat.occasions(ROOM, 10), chat.delete(SAID[0], 30), chat.banish(ROOM, READER.user, 31, 60)]
    kinds = ("message", "notification", "message_delete", "clear_user_messages")
    with twitch(happenings, [[{"step": "subscribed", "count": 4}, {"step": "play"}]]) as there:

        async def use(client: ClientConnection) -> list[Message]:
            welcome = await subscribed(client, there.helix, *(f"channel.chat.{kind}" for kind in kinds))
            return [welcome] + [await message(client) for _ in happenings]

        welcome, *got = session(there, use, "?keepalive_timeout_seconds=30")
    assert welcome["metadata"]["message_type"] == "session_welcome"
    assert welcome["payload"]["session"]["keepalive_timeout_seconds"] == 30
    assert welcome["payload"]["session"]["status"] == "connected"
    for one, happening in zip(got, happenings, strict=True):
        kind, event = happening.notifications[0]
        assert one["metadata"]["message_type"] == "notification"
        assert (one["metadata"]["subscription_type"], one["payload"]["event"]) == (kind, event)
        assert one["metadata"]["message_timestamp"] == chat.rfc3339(happening.time_ms)
        assert one["payload"]["subscription"]["type"] == kind
    assert len({one["metadata"]["message_id"] for one in got}) == len(got)


def test_repeats_have_the_same_message_id() -> None:
    with twitch(SAID, [[{"step": "play", "order": [0, 0]}]]) as there:

        async def use(client: ClientConnection) -> list[Message]:
            await subscribed(client, there.helix)
            return [await message(client), await message(client)]

        first, second = session(there, use)
    assert first == second


def test_reconnect_hands_subscriptions_over_once() -> None:
    with twitch(SAID, [[{"step": "play", "to": 1}, {"step": "reconnect"}], [{"step": "play", "from": 1, "to": 2}]]) as there:

        async def use(client: ClientConnection) -> tuple[Message, Message, int | None]:
            await subscribed(client, there.helix)
            await message(client)
            again = await message(client)
            url = again["payload"]["session"]["reconnect_url"]
            async with connect(url) as second:
                await message(second)
                notification = await message(second)
            async with connect(url) as third:
                return again, notification, await closing(third)

        again, notification, code = session(there, use)
    assert again["metadata"]["message_type"] == "session_reconnect"
    assert again["payload"]["session"]["status"] == "reconnecting"
    assert notification["payload"]["event"]["message_id"] == SAID[1].id
    assert code == 4007


def test_what_twitch_closes_for() -> None:
    async def talks(client: ClientConnection) -> int | None:
        await client.send("hello")
        return await closing(client)

    with twitch([], [[]], unused_after_s=0.05) as there:
        assert session(there, closing) == 4003
    with twitch([], [[]]) as there:
        assert session(there, talks) == 4001
    for code in range(4000, 4008):
        with twitch([], [[{"step": "close", "code": code}]]) as there:
            assert session(there, closing) == code


def test_keepalive_and_revocation() -> None:
    steps: list[Step] = [{"step": "subscribed", "count": 1}, {"step": "revoke", "type": "channel.chat.message"}]
    with twitch([], [steps], keepalive_every_s=0.02) as there:

        async def use(client: ClientConnection) -> list[Message]:
            assert (await message(client))["metadata"]["message_type"] == "session_welcome"
            kept = await message(client)
            assert kept["metadata"]["message_type"] == "session_keepalive"
            (open_session,) = there.eventsub._open.values()
            status, _ = await asyncio.to_thread(call, there.helix, "POST", "/helix/eventsub/subscriptions", wish(open_session.id))
            assert status == 202
            while (got := await message(client))["metadata"]["message_type"] == "session_keepalive":
                pass
            return [got]

        (revoked,) = session(there, use)
    assert revoked["metadata"]["message_type"] == "revocation"
    assert revoked["payload"]["subscription"]["status"] == "authorization_revoked"


def test_helix_checks() -> None:
    with twitch(SAID, [[]], subscriptions=1) as there:

        async def use(client: ClientConnection) -> None:
            ident = (await message(client))["payload"]["session"]["id"]
            path, ok = "/helix/eventsub/subscriptions", wish(ident)
            for expected, body, headers in (
                (401, ok, {"Authorization": "Bearer wrong"}),
                (401, ok, {"Client_Id": "another"}),
                (400, wish("nowhere"), {}),
                (400, wish(ident, "channel.chat.everything"), {}),
                (400, wish(ident, broadcaster_user_id="1"), {}),
                (403, wish(ident, user_id=ROOM.id), {}),
                (202, ok, {}),
                (429, wish(ident, "channel.chat.clear"), {}),
            ):
                status, answer = await asyncio.to_thread(call, there.helix, "POST", path, body, **headers)
                assert (status, answer) == (expected, answer)

        session(there, use)
        status, answer = call(there.helix, "GET", "/helix/users?login=dallas&login=nobody")
        assert status == 200
        assert [user["id"] for user in answer["data"]] == [ROOM.id]
        status, answer = call(there.helix, "GET", "/oauth2/validate", Authorization="OAuth secret")
        assert (status, answer["login"], answer["scopes"]) == (200, "ronni", ["user:read:chat"])
        assert call(there.helix, "GET", "/oauth2/validate", Authorization="OAuth wrong")[0] == 401


def test_helix_conflict_and_faults() -> None:
    faults = [
        {"path": "/users", "status": 429, "headers": {"Ratelimit-Reset": "0"}},
        {"path": "/users", "drop": True},
        {"path": "/validate", "status": 200, "body": "{"},
    ]
    with twitch(SAID, [[]], faults=faults) as there:

        async def use(client: ClientConnection) -> int:
            welcome = await subscribed(client, there.helix)
            again = wish(welcome["payload"]["session"]["id"])
            return (await asyncio.to_thread(call, there.helix, "POST", "/helix/eventsub/subscriptions", again))[0]

        assert session(there, use) == 409
        assert call(there.helix, "GET", "/helix/users")[0] == 429
        with pytest.raises(OSError):
            call(there.helix, "GET", "/helix/users")
        assert call(there.helix, "GET", "/helix/users")[0] == 200
        with pytest.raises(json.JSONDecodeError):
            call(there.helix, "GET", "/oauth2/validate")
