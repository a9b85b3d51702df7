"""The scripted EventSub and Helix are faithful: twitchio, an independent client, holds its usual session with them.

twitchio validates its token, looks the channel up, opens the WebSocket, subscribes, and must hand on every message,
occasion, deletion and clearing that was played, also over a reconnect. Only its addresses are changed.
"""

import asyncio
from typing import Any

import pytest
from servers import twitch_chat as chat
from servers.scripted import Step
from servers.twitch_eventsub import TwitchEventSub
from servers.twitch_helix import Token, TwitchHelix

pytestmark = pytest.mark.twitchio
ROOM = chat.person("dallas")
READER = Token("secret", chat.person("ronni"))
ANN = chat.Author(chat.person("ann"), {"subscriber": "12", "moderator": "1"}, 14, "#FF7F50")


async def _hold_session(helix: TwitchHelix, expected: int) -> list[tuple[str, Any]]:
    import twitchio
    from twitchio import eventsub as topics

    got: list[tuple[str, Any]] = []
    complete = asyncio.Event()

    class Client(twitchio.Client):  # type: ignore[misc,unused-ignore]
        def keep(self, name: str, payload: Any) -> None:
            got.append((name, payload))
            if len([one for one in got if one[0] != "welcome"]) == expected:
                complete.set()

        async def event_message(self, payload: Any) -> None:
            self.keep("message", payload)

        async def event_chat_notification(self, payload: Any) -> None:
            self.keep("notification", payload)

        async def event_message_delete(self, payload: Any) -> None:
            self.keep("delete", payload)

        async def event_chat_clear(self, payload: Any) -> None:
            self.keep("clear", payload)

        async def event_chat_clear_user(self, payload: Any) -> None:
            self.keep("clear_user", payload)

        async def event_subscription_revoked(self, payload: Any) -> None:
            self.keep("revoked", payload)

        async def event_websocket_welcome(self, payload: Any) -> None:
            got.append(("welcome", payload))

    client = Client(client_id=READER.client_id, client_secret="unused", bot_id=READER.user.id, fetch_client_user=False)
    await client.login(token="application", load_tokens=False, save_tokens=False)
    await client.add_token(READER.text, "unused")
    (room,) = await client.fetch_users(logins=[ROOM.login], token_for=READER.user.id)
    for topic in (
        topics.ChatMessageSubscription,
        topics.ChatNotificationSubscription,
        topics.ChatMessageDeleteSubscription,
        topics.ChatClearSubscription,
        topics.ChatClearUserMessagesSubscription,
    ):
        await client.subscribe_websocket(topic(broadcaster_user_id=room.id, user_id=READER.user.id), as_bot=True)
    await asyncio.wait_for(complete.wait(), 30)
    await client.close()
    return got


def _session(
    happenings: list[chat.Happening], sessions: list[list[Step]], expected: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[tuple[str, Any]], TwitchEventSub, TwitchHelix]:
    with TwitchEventSub(happenings, sessions) as eventsub, TwitchHelix(eventsub, [READER], [ROOM]) as helix:
        monkeypatch.setattr("twitchio.eventsub.websockets.WSS", eventsub.url)
        monkeypatch.setattr("twitchio.http.Route.BASE", helix.url + "/helix/")
        monkeypatch.setattr("twitchio.http.Route.ID_BASE", helix.url + "/")
        return asyncio.run(_hold_session(helix, expected)), eventsub, helix


def test_twitchio_receives_what_was_played(monkeypatch: pytest.MonkeyPatch) -> None:
    first = chat.message(ROOM, ANN, 1, "Kappa \U0001f600 Keepo", emotes=(chat.Emote("25", 0, 4), chat.Emote("1902", 8, 12)))
    said = [
        first,
        chat.message(ROOM, chat.Author(chat.person("bob")), 2, "@ann no", reply_to=first),
        chat.message(ROOM, ANN, 3, "cheer100", bits=100),
        chat.message(ROOM, ANN, 4, "from elsewhere", source=chat.message(chat.person("houston"), ANN, 4, "from elsewhere")),
        *chat.messages(ROOM, 10, 100),
    ]
    occasions = chat.occasions(ROOM, 200)
    verdicts = [chat.delete(first, 300), chat.banish(ROOM, ANN.user, 301, 60), chat.clear(ROOM, 302)]
    happenings = [*said, *occasions, *verdicts]
    steps: list[Step] = [{"step": "subscribed", "count": 5}, {"step": "play"}, {"step": "keepalive"}]
    got, _, helix = _session(happenings, [steps], len(happenings), monkeypatch)

    by_name: dict[str, list[Any]] = {}
    for name, payload in got:
        by_name.setdefault(name, []).append(payload)
    assert {one.id: one.text for one in by_name["message"]} == {
        happening.id: happening.notifications[0][1]["message"]["text"] for happening in said
    }
    messages = {one.id: one for one in by_name["message"]}
    kappa = messages[first.id]
    assert [fragment.text for fragment in kappa.fragments] == ["Kappa", " \U0001f600 ", "Keepo"]
    assert [emote.id for emote in kappa.emotes] == ["25", "1902"]
    assert (kappa.chatter.id, kappa.chatter.name) == (ANN.user.id, "ann")
    assert [(badge.set_id, badge.id, badge.info) for badge in kappa.badges] == [
        ("subscriber", "12", "14"),
        ("moderator", "1", ""),
    ]
    assert messages[said[1].id].reply.parent_message_id == first.id
    assert messages[said[2].id].cheer.bits == 100
    assert messages[said[3].id].source_broadcaster.name == "houston"

    notices = {one.id: one for one in by_name["notification"]}
    assert [notices[happening.id].notice_type for happening in occasions] == [
        "sub", "resub", "sub_gift", "community_sub_gift", "raid", "unraid", "announcement", "watch_streak",
    ]  # fmt: skip
    assert notices[occasions[1].id].resub.cumulative_months == 6
    assert notices[occasions[2].id].sub_gift.recipient.name == "lucky"
    assert notices[occasions[4].id].raid.viewer_count == 42
    assert notices[occasions[7].id].watch_streak.streak == 5
    (deleted,), (cleared,) = by_name["delete"], by_name["clear_user"]
    assert (deleted.message_id, deleted.user.name) == (first.id, "ann")
    assert cleared.user.id == ANN.user.id
    assert len(by_name["clear"]) == 1
    paths = [entry["path"] for entry in helix.logged("request")]
    assert paths[:2] == ["/oauth2/validate", "/helix/users"]
    assert not helix.logged("refused")


def test_twitchio_follows_a_reconnect(monkeypatch: pytest.MonkeyPatch) -> None:
    happenings = chat.messages(ROOM, 1, 4)
    sessions: list[list[Step]] = [
        [{"step": "subscribed", "count": 5}, {"step": "play", "to": 2}, {"step": "reconnect"}],
        [{"step": "play", "from": 2}],
    ]
    got, eventsub, helix = _session(happenings, sessions, len(happenings), monkeypatch)
    assert {payload.id for name, payload in got if name == "message"} == {happening.id for happening in happenings}
    assert len(eventsub.logged("connect")) == 2
    assert len(eventsub.logged("subscription")) == 5, "the second session had them from the first"
    assert not helix.logged("refused")


def test_twitchio_hears_of_a_revocation(monkeypatch: pytest.MonkeyPatch) -> None:
    revoked: list[Step] = [
        {"step": "subscribed", "count": 5},
        {"step": "revoke", "type": "channel.chat.message", "status": "user_removed"},
    ]
    got, _, _ = _session([], [revoked], 1, monkeypatch)
    ((_, payload),) = [one for one in got if one[0] == "revoked"]
    assert (payload.type, payload.status.value) == ("channel.chat.message", "user_removed")
