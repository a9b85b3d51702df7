"""Live sessions of the real program with the scripted Twitch chat: every message once, whatever its connection does; what
may be missing is declared; what is bad is counted; what Twitch forbids is not done; the token is never seen."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from e2e.conftest import RunProgram
from e2e.program import Event, dataflow, environment, json_lines, program, wait_until
from e2e.twitch import READER, ROOM, ROOMS, TOKEN, TOPIC, gaps, ids, irc_settings, of_kind, texts, wait_chat, wait_each_once
from servers import twitch_chat as chat
from servers.certificates import LoopbackCertificates
from servers.scripted import Step
from servers.twitch_irc import TwitchIrc

DALLAS = "twitch-irc:dallas"
PLAY: list[Step] = [{"step": "play"}]
ANN = chat.Author(chat.person("ann"), {"subscriber": "12", "moderator": "1"}, 14, "#FF7F50")

CUTS: dict[str, Step] = {
    "a line a message": {},
    "many lines a message": {"lines": 50},
    "split anywhere": {"cut": 97},
    "one character a message": {"cut": 1, "to": 3},
    "fragments": {"as": "fragments", "size": 11},
    "pieces": {"as": "pieces", "size": 11},
}


@pytest.mark.parametrize("how", CUTS.values(), ids=CUTS.keys())
def test_every_message_once_however_the_stream_is_cut(run_program: RunProgram, how: Step) -> None:
    both = zip(chat.messages(ROOMS[0], 1, 100), chat.messages(ROOMS[1], 1001, 100), strict=True)
    happenings = [
        chat.message(ROOM, ANN, 0, "Grüße \U0001f600 ; : = \\s \\ 中文\u200d"),
        *(one for pair in both for one in pair),
    ][: how.get("to", 1000)]
    channels = ",".join(room.login for room in {one.room for one in happenings})
    with TwitchIrc(happenings, [[{"step": "play", **how}]], rooms=list(ROOMS)) as server:
        instance = run_program("--source", f"twitch-irc:{channels}", env=irc_settings(server))
        events = wait_each_once(instance, happenings)
        by_id = {event["id"]: event for event in events}
        for happening in happenings:
            ((_, told),) = happening.notifications
            event = by_id[f"twitch:{happening.id}"]
            payload = event["payload"]
            assert (event["source"], payload["kind"]) == ("twitch", "message")
            assert (payload["channel"], payload["message"]) == (happening.room.login, told["message"]["text"])
            assert (payload["username"], payload["user_id"]) == (told["chatter_user_login"], told["chatter_user_id"])
            assert payload["display_name"] == told["chatter_user_name"]
            assert event["timestamp"] == chat.rfc3339(happening.time_ms)[:-4] + "Z"
        assert not server.logged("login_flood")
        source = instance.source()
        assert (source["state"], source["rejected"], source["reconnects"]) == ("live", 0, 0)


def test_tags_are_typed(run_program: RunProgram) -> None:
    emotes = (chat.Emote("25", 2, 6), chat.Emote("1902", 8, 12))
    first = chat.message(ROOM, ANN, 1, "\U0001f600 Kappa Keepo", emotes=emotes, bits=100, first=True)
    reply = chat.message(ROOM, chat.Author(chat.person("bob")), 2, "@ann no", reply_to=first)
    copy = chat.message(ROOM, ANN, 3, "seen in both", source=chat.message(ROOMS[1], ANN, 3, "seen in both"))
    with TwitchIrc([first, reply, copy], [PLAY]) as server:
        instance = run_program("--source", DALLAS, env=irc_settings(server))
        messages = of_kind(wait_each_once(instance, [first, reply, copy]), "message")
        one, two, three = (event["payload"]["metadata"] for event in messages)
        assert one["badges"] == {"subscriber": "12", "moderator": "1"}
        assert (one["color"], one["bits"], one["moderator"], one["subscriber"]) == ("#FF7F50", 100, True, True)
        assert one["first_message"] is True
        assert [(emote["id"], emote["begin"], emote["end"]) for emote in one["emotes"]] == [("25", 2, 6), ("1902", 8, 12)]
        assert two["reply_parent_id"] == first.id
        assert two["first_message"] is False
        assert (three["source_id"], three["source_room_id"]) == (chat.message_id(ROOMS[1], 3), ROOMS[1].id)


def test_shared_chat_keeps_each_rooms_copy(run_program: RunProgram) -> None:
    """A copy has an id of its own: per room it counts; source_id is what counts over all."""
    original = chat.message(ROOMS[1], ANN, 1, "hello both")
    copy = chat.message(ROOMS[0], ANN, 2, "hello both", source=original)
    with TwitchIrc([original, copy], [PLAY]) as server:
        instance = run_program("--source", "twitch-irc:dallas,houston", env=irc_settings(server))
        messages = of_kind(wait_each_once(instance, [original, copy]), "message")
        assert {event["payload"]["channel"] for event in messages} == {"dallas", "houston"}
        assert [event["payload"]["metadata"].get("source_id") for event in messages] == [None, original.id]


def test_every_kind_becomes_an_event(run_program: RunProgram) -> None:
    said = chat.message(ROOM, ANN, 1, "regrettable")
    happenings = [
        said,
        *chat.occasions(ROOM, 10),
        chat.delete(said, 20),
        chat.banish(ROOM, ANN.user, 21, 600),
        chat.banish(ROOM, ANN.user, 22),
        chat.clear(ROOM, 23),
        chat.room_state(ROOM, 24, slow=10),
        chat.notice(ROOM, 25, "slow_on", "This room is now in slow mode."),
        chat.whisper(ROOM, 26, "ronni"),
        chat.host_target(ROOM, 27, "houston", 5),
        chat.message(ROOM, ANN, 28, "last"),
    ]
    with TwitchIrc(happenings, [PLAY]) as server:
        instance = run_program("--source", DALLAS, env=irc_settings(server))
        events = wait_each_once(instance, happenings)
        assert [event["payload"]["kind"] for event in events] == [
            "room_state", "message", "subscription", "subscription", "subscription", "subscription", "raid", "notice",
            "announcement", "notice", "delete", "timeout", "ban", "clear", "room_state", "notice", "message",
        ]  # fmt: skip
        payloads = [event["payload"] for event in events]
        assert payloads[6]["metadata"]["viewers"] == 42
        assert payloads[10]["metadata"]["target_message_id"] == said.id
        assert (payloads[11]["username"], payloads[11]["metadata"]["duration_seconds"]) == ("ann", 600)
        assert payloads[12]["user_id"] == ANN.user.id
        assert "username" not in payloads[13]
        assert payloads[14]["metadata"]["slow_seconds"] == 10
        assert payloads[15]["metadata"]["msg_id"] == "slow_on"
        assert instance.source()["filtered"] >= 2, "the whisper and HOSTTARGET"
        assert "hello" not in json.dumps(events), "whispers are nobody's business"


def test_duplicates_and_disorder_lose_and_double_nothing(run_program: RunProgram) -> None:
    happenings = [*chat.messages(ROOM, 1, 30), *chat.occasions(ROOM, 100)]
    order = [*range(19, -1, -1), *range(38), *range(0, 38, 2), 5, 5, 5]
    with TwitchIrc(happenings, [[{"step": "play", "order": order, "lines": 3}]]) as server:
        instance = run_program("--source", DALLAS, env=irc_settings(server))
        instance.wait_source(lambda s: s["duplicates"] >= len(order) - 38, "duplicates")
        events = wait_each_once(instance, happenings)
        assert ids(events)[:20] == [happening.id for happening in reversed(happenings[:20])], "in the order of arrival"
        assert gaps(events) == []


def test_pings_are_answered_with_what_they_say(run_program: RunProgram) -> None:
    script: list[Step] = [{"step": "ping_line"}, {"step": "ping_line", "payload": "a: b c"}, {"step": "ping"}, *PLAY]
    with TwitchIrc(chat.messages(ROOM, 1, 1), [script]) as server:
        wait_each_once(run_program("--source", DALLAS, env=irc_settings(server)), server.happenings)
        assert server.commands("PONG") == [":tmi.twitch.tv", ":a: b c"]


# ---- connections that end ----


def test_reconnect_overlaps_and_misses_nothing(run_program: RunProgram) -> None:
    """After RECONNECT both connections bring the chat for a while; what the old one still has on its way counts too."""
    happenings = chat.messages(ROOM, 1, 60)
    sessions: list[list[Step]] = [
        [
            {"step": "play", "to": 20},
            {"step": "reconnect"},
            {"step": "play", "from": 20, "to": 25},
            {"step": "wait", "name": "joined:1"},
            {"step": "play", "from": 25, "to": 40},
        ],
        [{"step": "play", "from": 30}],
    ]
    with TwitchIrc(happenings, sessions) as server:
        instance = run_program("--source", DALLAS, env=irc_settings(server))
        events = wait_each_once(instance, happenings)
        assert gaps(events) == [], "nothing was missed"
        source = instance.wait_source(lambda s: s["reconnects"] == 1, "the change")
        assert source["state"] == "live"
        server.wait_for("end", 1)
        assert len(server.logged("connect")) == 2
        assert len(of_kind(events, "room_state")) == 1, "the second connection's says the same"


BREAKS: dict[str, list[Step]] = {
    **{f"close {code}": [{"step": "close", "code": code}] for code in (1000, 1001, 1008, 1011, 1012, 4000, 4999)},
    "reset": [{"step": "drop"}],
    "reserved opcode": [{"step": "raw", "hex": "8b00"}],
    "RECONNECT and close at once": [{"step": "reconnect"}, {"step": "close", "code": 1001}],
    "in the middle of a line": [{"step": "text", "text": "@badge-info=;badges="}, {"step": "drop"}],
}


@pytest.mark.parametrize("script", BREAKS.values(), ids=BREAKS.keys())
def test_a_broken_connection_is_made_again_and_its_hole_declared(run_program: RunProgram, script: list[Step]) -> None:
    happenings = chat.messages(ROOM, 1, 20)
    sessions = [[{"step": "play", "to": 10}, *script], [{"step": "play", "from": 8}]]
    with TwitchIrc(happenings, sessions) as server:
        instance = run_program("--source", DALLAS, env=irc_settings(server))
        events = wait_each_once(instance, happenings)
        (gap,) = gaps(events)
        assert gap["payload"]["channel"] == "dallas"
        assert gap["payload"]["count"] is None
        assert gap["payload"]["from"] <= gap["payload"]["to"]
        assert gap["payload"]["reason"]
        before = [event["id"] for event in events].index(gap["id"])
        assert ids(events[:before])[-1] == happenings[9].id, "the hole stands where it is"
        source = instance.source()
        assert (source["state"], source["gaps"], source["reconnects"]) == ("live", 1, 1)
        assert source["duplicates"] >= 2


REFUSALS: dict[str, Step] = {
    "503": {"step": "refuse", "status": 503, "headers": {"Retry-After": "1"}},
    "429": {"step": "refuse", "status": 429},
    "wrong accept key": {"step": "upgrade", "fault": "accept"},
    "closed at once": {"step": "close", "code": 1013},
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS.keys())
def test_refusals_are_backed_off_and_tried_again(run_program: RunProgram, refusal: Step) -> None:
    happenings = chat.messages(ROOM, 1, 5)
    with TwitchIrc(happenings, [[refusal], PLAY]) as server:
        instance = run_program("--source", DALLAS, env=irc_settings(server))
        assert instance.get_status_code("/readyz") == 200, "a feed that is down does not make the program unready"
        events = wait_each_once(instance, happenings)
        assert gaps(events) == [], "nothing had begun"


@pytest.mark.parametrize("kill", [True, False], ids=["kill -9", "SIGTERM"])
def test_what_a_restart_missed_is_a_gap(run_program: RunProgram, kill: bool) -> None:
    happenings = chat.messages(ROOM, 1, 20)
    with TwitchIrc(happenings, [[{"step": "play", "to": 10}], [{"step": "play", "from": 8}]]) as server:
        first = run_program("--source", DALLAS, env=irc_settings(server))
        acknowledged = wait_each_once(first, happenings[:10])
        if kill:
            first.kill()
        else:
            assert first.stop() == 0
        second = run_program("--source", DALLAS, env=irc_settings(server))
        events = wait_each_once(second, happenings)
        assert events[: len(acknowledged)] == acknowledged
        (gap,) = gaps(events)
        assert (gap["payload"]["channel"], gap["payload"]["count"]) == ("dallas", None)
        assert gap["payload"]["from"] <= acknowledged[-1]["received"] < gap["payload"]["to"]


# ---- the account ----


def test_an_account_logs_in_once_and_as_documented(run_program: RunProgram) -> None:
    happenings = chat.messages(ROOM, 1, 3)
    with TwitchIrc(happenings, [PLAY], accounts={READER.login: TOKEN}) as server:
        instance = run_program("--source", DALLAS, env=irc_settings(server, f"oauth:{TOKEN}"))
        wait_each_once(instance, happenings)
        assert server.commands("CAP") == ["REQ :twitch.tv/tags twitch.tv/commands"], "and no membership"
        assert server.commands("PASS") == [f"oauth:{TOKEN}"]
        assert server.commands("NICK") == [READER.login]
        assert not {"PRIVMSG", "WHO", "MODE", "WHISPER"} & {entry["command"] for entry in server.logged("command")}


@pytest.mark.parametrize("how", ["failed", "improper"])
def test_a_refused_login_is_not_tried_again(run_program: RunProgram, how: str) -> None:
    handshake: Step = {"step": "handshake", "login": how}
    with TwitchIrc(chat.messages(ROOM, 1, 1), [[handshake]] * 3, accounts={READER.login: TOKEN}) as server:
        instance = run_program("--source", DALLAS, env=irc_settings(server, TOKEN))
        source = instance.wait_source(lambda s: s["state"] == "failed", "the end")
        assert "TWITCH_OAUTH_TOKEN" in source["error"]
        assert TOKEN not in source["error"]
        assert instance.get_status_code("/readyz") == 200
        (told,) = [entry for entry in instance.log if entry["event"] == "source_failed"]
        assert told["level"] == "error"
        assert instance.stop() == 0
        assert len(server.logged("connect")) == len(server.logged("login")) == 1


# ---- channels ----


def test_channels_that_are_not_there_and_the_limit_of_joins(run_program: RunProgram) -> None:
    """Twenty JOINs in ten seconds; an unknown channel answers nothing, a suspended one with a notice."""
    rooms = [chat.person(f"room{number}") for number in range(21)]
    happenings = [chat.message(room, ANN, number, "here") for number, room in enumerate(rooms)]
    names = ["nobody", "gone", *(room.login for room in rooms)]
    with TwitchIrc(happenings, [PLAY], suspended=("gone",)) as server:
        instance = run_program("--source", f"twitch-irc:{','.join(names)}", env=irc_settings(server))
        events = wait_each_once(instance, happenings)
        assert not server.logged("join_flood")
        (told,) = [event for event in of_kind(events, "notice") if event["payload"]["channel"] == "gone"]
        assert told["payload"]["metadata"]["msg_id"] == "msg_channel_suspended"
        events = wait_chat(
            instance, lambda got: any(e["payload"]["channel"] == "nobody" for e in of_kind(got, "notice")), "the report"
        )
        assert instance.source()["state"] == "live"
        assert "#nobody" in str(instance.source()["error"])
        assert len([entry for entry in server.logged("join") if entry["channel"] == "nobody"]) == 1


def test_a_channel_without_roomstate_is_reported(run_program: RunProgram) -> None:
    with TwitchIrc([], [[{"step": "handshake", "roomstate": False}]], rooms=[ROOM]) as server:
        instance = run_program("--source", DALLAS, env=irc_settings(server))
        (event,) = wait_chat(instance, lambda got: len(of_kind(got, "notice")) == 1, "the report")
        assert event["payload"]["channel"] == "dallas"


# ---- lines that are wrong ----

GOOD = chat.message(ROOM, ANN, 500, "Kappa", emotes=(chat.Emote("25", 0, 4),))
REJECTED: dict[str, Step] = {
    "no command": {"step": "line", "line": "@id=1 :ann!ann@ann.tmi.twitch.tv"},
    "tags alone": {"step": "line", "line": "@id=1;mod=0"},
    "no text": {"step": "line", "line": "@id=2;tmi-sent-ts=1700000000000 :ann!ann@ann PRIVMSG #dallas"},
    "no time that is one": {"step": "line", "line": chat.with_line(GOOD, f"ts={GOOD.time_ms}", "ts=yesterday").line},
    "17 KiB": {"step": "long", "bytes": 17 * 1024},
    "no UTF-8": {"step": "bytes", "hex": b":a!a@a PRIVMSG #dallas :\xff\xfe\xc3(".hex()},
    "NUL": {"step": "line", "line": ":a!a@a PRIVMSG #dallas :a\x00b"},
}


def test_bad_lines_are_counted_by_reason_and_stop_nothing(run_program: RunProgram) -> None:
    happenings = chat.messages(ROOM, 1, 10)
    script = [{"step": "play", "to": 5}, *REJECTED.values(), {"step": "play", "from": 5}]
    with TwitchIrc(happenings, [script]) as server:
        instance = run_program("--source", DALLAS, env=irc_settings(server))
        wait_each_once(instance, happenings)
        source = instance.source()
        assert (source["state"], source["reconnects"], source["rejected"]) == ("live", 0, len(REJECTED))
        reasons = source["rejected_by"]
        assert sum(reasons.values()) == len(REJECTED)
        assert {"too_long", "invalid_utf8", "missing_field", "bad_time"} <= reasons.keys(), reasons


ODD: dict[str, tuple[str, str]] = {
    "emotes beyond the text": ("emotes=25:0-4", "emotes=25:0-4,90-99/7:3-2/x/:/1:-1-2"),
    "no badges that are any": ("badges=subscriber/12,moderator/1", "badges=,/,a/b/c,,subscriber"),
    "colour": ("color=#FF7F50", "color=<script>"),
    "display name": ("display-name=Ann", "display-name=\\s<b>\u202e\\\\n\\:\\"),
    "a key twice": ("mod=1", "mod=0;mod=1"),
    "a key without value": ("flags=", "flags;=;;=x"),
    "numbers that are none": ("subscriber=1", "subscriber=yes;bits=99999999999999999999;ban-duration=-"),
}


@pytest.mark.parametrize(("old", "new"), ODD.values(), ids=ODD.keys())
def test_odd_tags_cost_their_own_value_alone(run_program: RunProgram, old: str, new: str) -> None:
    odd = chat.with_line(GOOD, old, new)
    with TwitchIrc([odd, *chat.messages(ROOM, 1, 2)], [PLAY]) as server:
        instance = run_program("--source", DALLAS, env=irc_settings(server))
        events = wait_each_once(instance, server.happenings)
        assert texts(events)[f"twitch:{GOOD.id}"] == "Kappa"
        for emote in of_kind(events, "message")[0]["payload"]["metadata"].get("emotes", []):
            assert 0 <= emote["begin"] <= emote["end"] <= 4


def test_refused_capabilities_leave_what_lines_say(run_program: RunProgram) -> None:
    happenings = chat.messages(ROOM, 1, 3)
    with TwitchIrc(happenings, [[{"step": "handshake", "cap": "NAK"}, *PLAY]]) as server:
        instance = run_program("--source", DALLAS, env=irc_settings(server))
        events = wait_chat(instance, lambda got: len(of_kind(got, "message")) >= 3, "messages without tags")
        assert [event["payload"]["message"] for event in of_kind(events, "message")] == ["message 1", "message 2", "message 3"]
        assert of_kind(events, "message")[0]["payload"]["username"] == "dallas_viewer1"
        assert "twitch.tv/tags" in str(instance.source()["error"])


# ---- certificates ----


@pytest.mark.parametrize(("fault", "word"), [("expired", "expired"), ("wrong_name", "hostname"), ("server", "issuer")])
def test_a_certificate_that_is_wrong_is_refused_and_named(run_program: RunProgram, tmp_path: Path, fault: str, word: str) -> None:
    """server: a good one, of an authority that nobody trusts."""
    certificates = LoopbackCertificates(tmp_path)
    trust = {} if fault == "server" else {"DATAFLOW_TLS_CA_FILE": str(certificates.authority)}
    with TwitchIrc([], tls=getattr(certificates, fault)) as server:
        instance = run_program("--source", DALLAS, env=irc_settings(server) | trust)
        source = instance.wait_source(lambda s: s["state"] == "backing_off" and s["error"], "refusal of the certificate")
        assert word in source["error"].lower() or "certificate" in source["error"].lower(), source["error"]
        assert not server.logged("connect")


def test_tls_with_a_named_authority(run_program: RunProgram, tmp_path: Path) -> None:
    certificates = LoopbackCertificates(tmp_path)
    happenings = chat.messages(ROOM, 1, 50)
    with TwitchIrc(happenings, [[{"step": "play", "lines": 3}]], tls=certificates.server) as server:
        trusting = irc_settings(server) | {"DATAFLOW_TLS_CA_FILE": str(certificates.authority)}
        wait_each_once(run_program("--source", DALLAS, env=trusting), happenings)


# ---- recordings ----


def test_recorded_session_gives_the_same_events(run_program: RunProgram, tmp_path: Path) -> None:
    """What `record` wrote of a live session, replayed, is what `run` made of the same bytes."""
    happenings = [*chat.messages(ROOM, 1, 40), *chat.occasions(ROOM, 100)]
    order = [*range(48), 3, 4]
    end = "the end of it"
    script: list[Step] = [{"step": "play", "order": order, "cut": 61}, {"step": "ping_line", "payload": end}]
    recording = tmp_path / "session.jsonl"
    with (
        TwitchIrc(happenings, [script]) as server,
        subprocess.Popen(
            [program(), "record", "--source", DALLAS, str(recording)],
            cwd=tmp_path,
            env=environment(irc_settings(server)),
            stderr=subprocess.PIPE,
            text=True,
        ) as recorder,
    ):
        try:
            wait_until(lambda: recording.exists() and f"PONG :{end}" in recording.read_text(), "the last answer")
        finally:
            recorder.terminate()
        recorder.communicate()
    with TwitchIrc(happenings, [script]) as server:
        live = wait_each_once(run_program("--source", DALLAS, env=irc_settings(server)), happenings)
    done = dataflow("replay", recording, "--speed", "max", cwd=tmp_path)
    assert done.returncode == 0, done.stderr

    def of_twitch(events: list[Event]) -> list[Any]:
        return [(event["id"], event["timestamp"], event["payload"]) for event in events if event["id"].startswith("twitch:")]

    assert of_twitch(json_lines(done.stdout)) == of_twitch(live)


def test_tail_and_api_agree(run_program: RunProgram) -> None:
    happenings = chat.messages(ROOM, 1, 20)
    with TwitchIrc(happenings, [PLAY]) as server:
        instance = run_program("--source", DALLAS, env=irc_settings(server))
        events = wait_each_once(instance, happenings)
        by_time = sorted(events, key=lambda event: str(event["timestamp"]))
        page = f"/api/v1/events?topic={TOPIC}&key=dallas&limit=1000"
        wait_until(lambda: instance.get(page)["events"] == by_time, "the same events")
