"""Live sessions of the real program with the scripted EventSub and Helix: the same events with the same ids as over IRC,
each once, alone and with IRC at the same time; what Twitch's rules for sessions ask is done."""

from typing import Any

import pytest
from e2e.conftest import RunProgram
from e2e.program import Event
from e2e.twitch import (
    READER,
    ROOM,
    ROOMS,
    TOKEN,
    eventsub,
    gaps,
    ids,
    irc_settings,
    of_kind,
    wait_chat,
    wait_each_once,
)
from servers import twitch_chat as chat
from servers.scripted import Step
from servers.twitch_helix import CHAT_SCOPE, MODERATION_SCOPE, Token
from servers.twitch_irc import TwitchIrc

DALLAS = "twitch-eventsub:dallas"
ANN = chat.Author(chat.person("ann"), {"subscriber": "12", "moderator": "1"}, 14, "#FF7F50")
KINDS = ["channel.chat.clear", "channel.chat.clear_user_messages", "channel.chat.message", "channel.chat.message_delete",
         "channel.chat.notification"]  # fmt: skip
ALL: Step = {"step": "subscribed", "count": len(KINDS)}
PLAY: list[Step] = [ALL, {"step": "play"}]

PLAYS: dict[str, Step] = {"whole": {}, "fragments": {"as": "fragments", "size": 11}, "pieces": {"as": "pieces", "size": 11}}


@pytest.mark.parametrize("how", PLAYS.values(), ids=PLAYS.keys())
def test_every_message_once_however_it_is_cut(run_program: RunProgram, how: Step) -> None:
    happenings = [chat.message(ROOM, ANN, 0, 'Grüße \U0001f600 "; \\ 中文'), *chat.messages(ROOM, 1, 100)]
    with eventsub(happenings, [[ALL, {"step": "play", **how}]]) as there:
        instance = run_program("--source", DALLAS, env=there.settings())
        for event, happening in zip(wait_each_once(instance, happenings), happenings, strict=True):
            ((_, told),) = happening.notifications
            payload = event["payload"]
            assert (event["id"], payload["message"]) == (f"twitch:{happening.id}", told["message"]["text"])
            assert (payload["channel"], payload["username"]) == ("dallas", told["chatter_user_login"])
            assert event["timestamp"] == chat.rfc3339(happening.time_ms)[:-4] + "Z"
        assert sorted(entry["type"] for entry in there.socket.logged("subscription")) == KINDS
        assert not there.helix.logged("refused")


def _alike(event: Event) -> Any:
    """What both interfaces say of a record.  The months of a sub, and of a gift's receiver, only IRC says."""
    payload = event["payload"]
    metadata = payload.get("metadata", {})
    common = ("badges", "color", "emotes", "bits", "reply_parent_id", "source_id", "source_room_id", "target_message_id",
              "moderator", "subscriber", "streak_months", "gift_count", "recipient", "recipient_id", "viewers",
              "system_message")  # fmt: skip
    fields = ("kind", "channel", "username", "message")
    return (
        event["id"],
        event["timestamp"],
        [payload.get(name) for name in fields],
        {name: metadata[name] for name in common if name in metadata},
    )


def test_the_same_events_as_over_irc(run_program: RunProgram, tmp_path: Any) -> None:
    emotes = (chat.Emote("25", 0, 4), chat.Emote("1902", 6, 10))
    first = chat.message(ROOM, ANN, 1, "Kappa Keepo \U0001f600", emotes=emotes)
    happenings = [
        first,
        chat.message(ROOM, chat.Author(chat.person("bob")), 2, "@ann no", reply_to=first),
        chat.message(ROOM, ANN, 3, "cheer100", bits=100),
        chat.message(ROOM, ANN, 4, "from elsewhere", source=chat.message(ROOMS[1], ANN, 4, "from elsewhere")),
        *chat.occasions(ROOM, 10),
        chat.delete(first, 30),
        chat.clear(ROOM, 31),
        chat.message(ROOM, ANN, 32, "last"),
    ]
    directories = [tmp_path / "irc", tmp_path / "eventsub"]
    for directory in directories:
        directory.mkdir()
    with TwitchIrc(happenings, [[{"step": "play"}]]) as irc, eventsub(happenings, [PLAY]) as there:
        by_irc = run_program("--source", "twitch-irc:dallas", directory=directories[0], env=irc_settings(irc))
        by_eventsub = run_program("--source", DALLAS, directory=directories[1], env=there.settings())
        one, other = wait_each_once(by_irc, happenings), wait_each_once(by_eventsub, happenings)
    one = [event for event in one if event["payload"]["kind"] != "room_state"]
    assert [_alike(event) for event in one] == [_alike(event) for event in other]
    resubs = [event["payload"]["metadata"]["months"] for event in (one[5], other[5])]
    assert resubs == [6, 6]


def test_bans_and_timeouts_for_the_channels_own_account(run_program: RunProgram) -> None:
    """channel.ban says how long, and only to the broadcaster; then it is the event of IRC's CLEARCHAT."""
    own = Token(TOKEN, ROOM, (CHAT_SCOPE, MODERATION_SCOPE))
    happenings = [chat.banish(ROOM, ANN.user, 1, 600), chat.banish(ROOM, ANN.user, 2), chat.message(ROOM, ANN, 3, "last")]
    with eventsub(happenings, [[{"step": "subscribed", "count": 6}, {"step": "play"}]], token=own) as there:
        instance = run_program("--source", DALLAS, env=there.settings() | {"TWITCH_NICKNAME": ROOM.login})
        events = wait_each_once(instance, happenings)
        (timeout,), (ban,) = of_kind(events, "timeout"), of_kind(events, "ban")
        assert (timeout["payload"]["username"], timeout["payload"]["metadata"]["duration_seconds"]) == ("ann", 600)
        assert ban["payload"]["user_id"] == ANN.user.id


def test_duplicates_and_disorder_lose_and_double_nothing(run_program: RunProgram) -> None:
    happenings = [*chat.messages(ROOM, 1, 30), *chat.occasions(ROOM, 100), chat.delete(chat.messages(ROOM, 1, 1)[0], 200)]
    order = [*range(19, -1, -1), *range(39), *range(0, 39, 2), 5, 5, 38]
    with eventsub(happenings, [[ALL, {"step": "play", "order": order}]]) as there:
        instance = run_program("--source", DALLAS, env=there.settings())
        instance.wait_source(lambda s: s["duplicates"] == len(order) - 39, "duplicates")
        events = wait_each_once(instance, happenings)
        assert len(of_kind(events, "delete")) == 1
        assert gaps(events) == []


# ---- sessions ----


def test_reconnect_keeps_the_old_socket_until_the_new_one_welcomes(run_program: RunProgram) -> None:
    happenings = chat.messages(ROOM, 1, 30)
    sessions: list[list[Step]] = [
        [
            ALL,
            {"step": "play", "to": 10},
            {"step": "reconnect"},
            {"step": "wait", "name": "opened:1"},
            {"step": "play", "from": 10, "to": 20},
            {"step": "release", "name": "welcome"},
        ],
        [{"step": "welcome", "after": "welcome"}, {"step": "play", "from": 18}],
    ]
    with eventsub(happenings, sessions) as there:
        instance = run_program("--source", DALLAS, env=there.settings())
        events = wait_each_once(instance, happenings)
        assert gaps(events) == [], "nothing was missed"
        _, second = there.socket.logged("connect")
        assert "challenge=" in second["path"], "the URL as it was given"
        assert len(there.socket.logged("subscription")) == len(KINDS), "the new one had them"
        there.socket.wait_for("end", 1)
        assert instance.source()["state"] == "live"


def test_a_reconnect_that_leads_nowhere_begins_anew(run_program: RunProgram) -> None:
    happenings = chat.messages(ROOM, 1, 20)
    sessions: list[list[Step]] = [
        [ALL, {"step": "play", "to": 10}, {"step": "reconnect", "url": "ws://127.0.0.1:9/ws"}, {"step": "close", "code": 4004}],
        [ALL, {"step": "play", "from": 8}],
    ]
    with eventsub(happenings, sessions) as there:
        instance = run_program("--source", DALLAS, env=there.settings())
        events = wait_each_once(instance, happenings)
        assert [gap["payload"]["count"] for gap in gaps(events)] == [None]


@pytest.mark.parametrize("code", [*range(4000, 4008), 1000, 1001, 1011, 0])
def test_a_closed_session_is_opened_again_and_its_hole_declared(run_program: RunProgram, code: int) -> None:
    end: Step = {"step": "close", "code": code} if code else {"step": "drop"}
    happenings = chat.messages(ROOM, 1, 20)
    with eventsub(happenings, [[ALL, {"step": "play", "to": 10}, end], [ALL, {"step": "play", "from": 8}]]) as there:
        instance = run_program("--source", DALLAS, env=there.settings())
        events = wait_each_once(instance, happenings)
        (gap,) = gaps(events)
        assert (gap["payload"]["channel"], gap["payload"]["count"]) == ("dallas", None)
        before = [event["id"] for event in events].index(gap["id"])
        # New messages may come before the answer to the subscription that ends the hole.
        assert happenings[9].id in ids(events[:before]), "the hole comes behind what came before it"
        source = instance.source()
        assert (source["state"], source["reconnects"]) == ("live", 1)
        assert len(there.socket.logged("subscription")) == 2 * len(KINDS), "a new session has none of the old one's"


def test_silence_beyond_the_keepalive_is_loss(run_program: RunProgram) -> None:
    happenings = chat.messages(ROOM, 1, 10)
    sessions: list[list[Step]] = [
        [{"step": "welcome", "keepalive_s": 1}, ALL, {"step": "play", "to": 5}, {"step": "stall"}],
        [ALL, {"step": "play", "from": 5}],
    ]
    with eventsub(happenings, sessions, keepalive_every_s=1000) as there:
        instance = run_program("--source", DALLAS, env=there.settings())
        events = wait_each_once(instance, happenings)
        assert len(gaps(events)) == 1


def test_keepalives_are_counted_and_make_nothing(run_program: RunProgram) -> None:
    happenings = chat.messages(ROOM, 1, 2)
    script: list[Step] = [ALL, *[{"step": "keepalive"}] * 20, {"step": "play"}]
    with eventsub(happenings, [script]) as there:
        instance = run_program("--source", DALLAS, env=there.settings())
        assert len(wait_each_once(instance, happenings)) == 2
        assert instance.source()["filtered"] >= 20


@pytest.mark.parametrize("status", ["authorization_revoked", "user_removed", "version_removed"])
def test_revoked_messages_end_the_source_and_say_why(run_program: RunProgram, status: str) -> None:
    script: list[Step] = [*PLAY, {"step": "revoke", "type": "channel.chat.message", "status": status}]
    with eventsub(chat.messages(ROOM, 1, 3), [script]) as there:
        instance = run_program("--source", DALLAS, env=there.settings())
        source = instance.wait_source(lambda s: s["state"] == "failed", "the end")
        assert status in source["error"]
        wait_each_once(instance, there.socket.happenings)
        assert len(there.socket.logged("connect")) == 1


def test_another_revocation_costs_its_own_kind_alone(run_program: RunProgram) -> None:
    happenings = chat.messages(ROOM, 1, 10)
    revoke: Step = {"step": "revoke", "type": "channel.chat.notification"}
    with eventsub(happenings, [[ALL, {"step": "play", "to": 5}, revoke, {"step": "play", "from": 5}]]) as there:
        instance = run_program("--source", DALLAS, env=there.settings())
        assert gaps(wait_each_once(instance, happenings)) == []
        assert instance.source()["state"] == "live"


BAD: list[Step] = [
    {"step": "text", "text": "this is not JSON"},
    {"step": "text", "text": '{"metadata":{"message_id":"1","message_type":"notification"'},
    {"step": "text", "text": '{"metadata":{"message_id":"2","message_type":"notification"},"payload":{}}'},
    {"step": "text", "text": '{"payload":{}}'},
    {"step": "text", "text": "[" * 3000},
    {"step": "text", "text": ""},
    {"step": "unknown"},
    {"step": "binary", "hex": "00ff00ff"},
]


def test_bad_messages_are_counted_and_stop_nothing(run_program: RunProgram) -> None:
    happenings = chat.messages(ROOM, 1, 10)
    with eventsub(happenings, [[ALL, {"step": "play", "to": 5}, *BAD, {"step": "play", "from": 5}]]) as there:
        instance = run_program("--source", DALLAS, env=there.settings())
        assert gaps(wait_each_once(instance, happenings)) == []
        source = instance.source()
        assert (source["state"], source["reconnects"]) == ("live", 0)
        assert source["rejected"] >= len(BAD) - 2, source
        assert sum(source["rejected_by"].values()) == source["rejected"]


# ---- Helix ----

PASSING: dict[str, list[dict[str, Any]]] = {
    "validate 500": [{"path": "/validate", "status": 500, "times": 2}],
    "validate no JSON": [{"path": "/validate", "status": 200, "body": "{"}],
    "users 503": [{"path": "/users", "status": 503, "headers": {"Retry-After": "0"}}],
    "users dropped": [{"path": "/users", "drop": True}],
    "users an array": [{"path": "/users", "status": 200, "body": "[]"}],
    "subscriptions 429": [{"path": "/subscriptions", "status": 429, "headers": {"Ratelimit-Reset": "0"}, "times": 3}],
    "subscriptions 500": [{"path": "/subscriptions", "status": 500, "times": 2}],
    "subscriptions slow": [{"path": "/subscriptions", "delay_s": 0.3, "times": 5}],
}


@pytest.mark.parametrize("faults", PASSING.values(), ids=PASSING.keys())
def test_faults_of_helix_that_pass_are_waited_out(run_program: RunProgram, faults: list[dict[str, Any]]) -> None:
    happenings = chat.messages(ROOM, 1, 5)
    sessions: list[list[Step]] = [PLAY] * 5
    with eventsub(happenings, sessions, faults=faults) as there:
        instance = run_program("--source", DALLAS, env=there.settings())
        wait_each_once(instance, happenings)
        assert instance.source()["state"] == "live"
        assert instance.get_status_code("/readyz") == 200


FINAL: dict[str, tuple[Token, str]] = {
    "a token that is none": (Token("another", READER), "TWITCH_OAUTH_TOKEN"),
    "without the right": (Token(TOKEN, READER, ("user:write:chat",)), "user:read:chat"),
}


@pytest.mark.parametrize(("token", "word"), FINAL.values(), ids=FINAL.keys())
def test_what_no_trying_helps_is_not_tried_again(run_program: RunProgram, token: Token, word: str) -> None:
    with eventsub([], [], token=token) as there:
        instance = run_program("--source", DALLAS, env=there.settings())
        source = instance.wait_source(lambda s: s["state"] == "failed", "the end")
        assert word in source["error"]
        assert TOKEN not in source["error"]
        assert instance.get_status_code("/readyz") == 200
        assert not there.socket.logged("subscription")
        assert len([entry for entry in there.helix.logged("request") if entry["path"] == "/oauth2/validate"]) == 1


def test_a_channel_that_is_not_there(run_program: RunProgram) -> None:
    with eventsub([], [[]]) as there:
        instance = run_program("--source", "twitch-eventsub:nobody", env=there.settings())
        source = instance.wait_source(lambda s: s["state"] == "failed", "the end")
        assert "channel" in source["error"]


def test_expiry_is_told_early(run_program: RunProgram) -> None:
    soon = Token(TOKEN, READER, expires_in=5 * 3600)
    happenings = chat.messages(ROOM, 1, 1)
    with eventsub(happenings, [PLAY], token=soon) as there:
        instance = run_program("--source", DALLAS, env=there.settings())
        wait_each_once(instance, happenings)
        (told,) = [entry for entry in instance.log if "expires in 5 h" in entry["message"]]
        assert told["level"] == "warning"
        assert TOKEN not in told["message"]


# ---- both at once ----


def test_both_at_once_yield_each_record_once(run_program: RunProgram) -> None:
    happenings = [*chat.messages(ROOM, 1, 100), *chat.occasions(ROOM, 200), chat.clear(ROOM, 300)]
    with TwitchIrc(happenings, [[{"step": "play", "rate": 400}]]) as irc, eventsub(happenings, [PLAY]) as there:
        env = irc_settings(irc) | there.settings()
        irc.accounts[READER.login] = TOKEN
        instance = run_program("--source", "twitch-irc:dallas", "--source", DALLAS, env=env)
        events = wait_each_once(instance, happenings)
        irc.wait_for("play")
        there.socket.wait_for("play")
        wait_chat(instance, lambda got: len(of_kind(got, "clear")) >= 1, "the clearing")
        for number in range(2):
            instance.wait_source(lambda s: s["events"] + s["duplicates"] >= len(happenings), "all of it", number)
        events = wait_each_once(instance, happenings)
        assert len(of_kind(events, "clear")) == 1
        assert {source["state"] for source in instance.get("/api/v1/sources")["sources"]} == {"live"}
