#!/usr/bin/env python3
"""Expected events for lines of Twitch chat: a second implementation, plain and slow, in Python.

Written from the description of Twitch's chat (dev.twitch.tv/docs/chat/irc, ircv3.net message tags) and of the event
format, not from the C code.  Records without an id of their own get a hash: its place is held by "?".

    twitch_irc_oracle.py events LINES            the events of a file of lines, and the counts on standard error
    twitch_irc_oracle.py corpus SEED COUNT       random lines, good and bad
    twitch_irc_oracle.py write                   writes tests/data/twitch/chat.*
    twitch_irc_oracle.py check                   compares with what is there
    twitch_irc_oracle.py compare LINES EVENTS    line by line against another program's events; exit 1 if they differ
"""

from __future__ import annotations

import collections
import datetime
import json
import pathlib
import random
import re
import sys
import uuid
from typing import Any

DATA = pathlib.Path(__file__).resolve().parents[1] / "data" / "twitch"
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
LINE_MAX = 16384
TIME_MAX_MS = 253402300799999
Json = dict[str, Any]

# Tags, what metadata call them, and their types, in the order of metadata.
METADATA = [
    ("badges", "badges", "badges"),
    ("badge-info", "badge_info", "badges"),
    ("color", "color", "color"),
    ("emotes", "emotes", "emotes"),
    ("emote-only", "emote_only", "flag"),
    ("bits", "bits", "number"),
    ("mod", "moderator", "flag"),
    ("subscriber", "subscriber", "flag"),
    ("vip", "vip", "flag"),
    ("turbo", "turbo", "flag"),
    ("first-msg", "first_message", "flag"),
    ("returning-chatter", "returning_chatter", "flag"),
    ("reply-parent-msg-id", "reply_parent_id", "text"),
    ("reply-parent-user-login", "reply_parent_user", "text"),
    ("reply-parent-user-id", "reply_parent_user_id", "text"),
    ("reply-parent-display-name", "reply_parent_display_name", "text"),
    ("reply-parent-msg-body", "reply_parent_message", "text"),
    ("reply-thread-parent-msg-id", "reply_thread_id", "text"),
    ("reply-thread-parent-user-login", "reply_thread_user", "text"),
    ("custom-reward-id", "custom_reward_id", "text"),
    ("flags", "flags", "text"),
    ("client-nonce", "client_nonce", "text"),
    ("user-type", "user_type", "text"),
    ("room-id", "room_id", "text"),
    ("source-id", "source_id", "text"),
    ("source-room-id", "source_room_id", "text"),
    ("source-badges", "source_badges", "badges"),
    ("source-badge-info", "source_badge_info", "badges"),
    ("source-only", "source_only", "flag"),
    ("msg-id", "msg_id", "text"),
    ("source-msg-id", "source_msg_id", "text"),
    ("system-msg", "system_message", "text"),
    ("msg-param-sub-plan", "tier", "text"),
    ("msg-param-sub-plan-name", "plan_name", "text"),
    ("msg-param-cumulative-months", "months", "number"),
    ("msg-param-months", "months", "number"),
    ("msg-param-streak-months", "streak_months", "number"),
    ("msg-param-gift-months", "gift_months", "number"),
    ("msg-param-mass-gift-count", "gift_count", "number"),
    ("msg-param-recipient-user-name", "recipient", "text"),
    ("msg-param-recipient-id", "recipient_id", "text"),
    ("msg-param-recipient-display-name", "recipient_display_name", "text"),
    ("msg-param-viewerCount", "viewers", "number"),
    ("msg-param-color", "announcement_color", "text"),
    ("target-msg-id", "target_message_id", "text"),
    ("ban-duration", "duration_seconds", "number"),
    ("followers-only", "followers_only_minutes", "number"),
    ("r9k", "unique_only", "flag"),
    ("slow", "slow_seconds", "number"),
    ("subs-only", "subscribers_only", "flag"),
]
NAMED = {tag for tag, _, _ in METADATA}
SUBSCRIPTIONS = """sub resub subgift anonsubgift submysterygift anonsubmysterygift giftpaidupgrade anongiftpaidupgrade
    primepaidupgrade rewardgift standardpayforward communitypayforward extendsub""".split()
CONTROL = """PING RECONNECT CAP ERROR USERSTATE GLOBALUSERSTATE HOSTTARGET JOIN PART WHISPER PONG MODE QUIT NICK TOPIC
    KICK""".split()


class RefusedError(Exception):
    """Why a line makes no event though it should."""


class Line:
    """A line of IRC, taken apart."""

    def __init__(self, text: str) -> None:
        if re.search(r"[\0\r\n]", text):
            raise RefusedError("malformed_line")
        parts = re.fullmatch(
            r"(?:@(?P<tags>[^ ]*)(?: +|$))?(?::(?P<prefix>[^ ]*)(?: +|$))?(?P<command>[A-Za-z0-9]+)(?P<rest>(?: .*)?)", text
        )
        if not parts:
            raise RefusedError("malformed_line")
        self.command = parts["command"]
        self.prefix = parts["prefix"] or ""
        self.params: list[str] = []
        rest = parts["rest"].lstrip(" ")
        while rest:
            if rest.startswith(":") or len(self.params) == 14:
                self.params.append(rest.removeprefix(":"))
                break
            word, _, rest = rest.partition(" ")
            self.params.append(word)
            rest = rest.lstrip(" ")
        self.tags: dict[str, str] = {}
        for tag in (parts["tags"] or "").split(";"):
            key, _, value = tag.partition("=")
            if key:
                self.tags[key] = unescape(value)


def unescape(value: str) -> str:
    value = re.sub(r"^((?:[^\\]|\\.)*)\\$", r"\1", value)
    return re.sub(r"\\(.)", lambda found: {":": ";", "s": " ", "r": "\r", "n": "\n"}.get(found[1], found[1]), value)


def number(text: str) -> int | None:
    if not re.fullmatch(r"-?[0-9]+", text) or abs(int(text)) >= 2**63:
        return None
    return int(text)


def badges(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for badge in text.split(","):
        name, _, version = badge.partition("/")
        if name and name not in found and len(found) < 16:
            found[name] = version
    return found


def emotes(text: str, message: str) -> list[Json] | None:
    found: list[Json] = []
    for emote in text.split("/"):
        name, _, ranges = emote.partition(":")
        for span in ranges.split(",") if name else []:
            ends = re.fullmatch(r"([0-9]+)-([0-9]+)", span)
            if not ends:
                continue
            begin, end = int(ends[1]), min(int(ends[2]), len(message) - 1)
            if begin <= int(ends[2]) and begin < len(message):
                found.append({"id": name, "name": message[begin : end + 1], "begin": begin, "end": end})
    return found or None


def value_of(kind: str, text: str, message: str) -> Any:
    """The typed value; None: there is none."""
    if kind == "number":
        return number(text)
    if kind == "flag":
        return {"0": False, "1": True}.get(text)
    if kind == "color":
        return text if re.fullmatch(r"#[0-9A-Fa-f]{6}", text) else None
    if kind == "badges":
        return badges(text)
    return emotes(text, message) if kind == "emotes" else text


def metadata_of(line: Line, message: str, action: bool) -> Json:
    found: Json = {}
    for tag, name, kind in METADATA:
        text = line.tags.get(tag)
        if text is None or (text == "" and tag != "badges"):
            continue
        if tag == "msg-param-months" and line.tags.get("msg-param-cumulative-months"):
            continue
        value = value_of(kind, text, message)
        if value is not None:
            found[name] = value
    prefix = "msg-param-"
    params = {tag.removeprefix(prefix): text for tag, text in line.tags.items() if tag.startswith(prefix) and tag not in NAMED}
    if params:
        found["params"] = dict(list(params.items())[:32])
    if action:
        found["action"] = True
    return found


def kind_of_notice(line: Line) -> str:
    occasion = line.tags.get("msg-id", "")
    if occasion == "sharedchatnotice":
        occasion = line.tags.get("source-msg-id", "")
    if occasion in SUBSCRIPTIONS:
        return "subscription"
    return occasion if occasion in ("raid", "announcement") else "notice"


def sender(line: Line) -> str:
    nick = re.match(r"[^!@]*", line.prefix.split("@")[0])
    name = nick[0] if nick else ""
    if "!" not in line.prefix and "@" not in line.prefix and "." in name:
        name = ""
    return name or line.tags.get("login", "")


def payload_of(line: Line) -> Json:
    """All fields but metadata; `message` may be an action still."""
    channel = line.params[0][1:]
    text = line.params[1] if len(line.params) > 1 else ""
    tags = line.tags
    person = {"display_name": tags.get("display-name", ""), "user_id": tags.get("user-id", "")}
    if line.command == "PRIVMSG":
        if not sender(line) or len(line.params) < 2:
            raise RefusedError("missing_field")
        return {"kind": "message", "channel": channel, "username": sender(line), **person, "message": text}
    if line.command == "USERNOTICE":
        return {"kind": kind_of_notice(line), "channel": channel, "username": tags.get("login", ""), **person, "message": text}
    if line.command == "CLEARCHAT":
        if not text:
            return {"kind": "clear", "channel": channel, **person}
        duration = tags.get("ban-duration", "")
        if duration and (number(duration) is None or int(duration) < 0):
            raise RefusedError("bad_number")
        user_id = tags.get("target-user-id", "")
        return {"kind": "timeout" if duration else "ban", "channel": channel, "username": text, **person, "user_id": user_id}
    if line.command == "CLEARMSG":
        if not tags.get("target-msg-id"):
            raise RefusedError("missing_field")
        return {"kind": "delete", "channel": channel, "username": tags.get("login", ""), **person}
    if line.command == "ROOMSTATE":
        return {"kind": "room_state", "channel": channel, **person}
    return {"kind": "notice", "channel": channel, **person, "message": text}


def time_text(ms: int) -> str:
    return (EPOCH + datetime.timedelta(milliseconds=ms)).strftime("%Y-%m-%dT%H:%M:%S.%f") + "Z"


class Oracle:
    """Lines in, events out."""

    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.newest = -1
        self.counts: collections.Counter[str] = collections.Counter()

    def event(self, raw: bytes) -> str | None:
        """The event's JSON; None: the line makes none."""
        self.counts["frames"] += 1
        if not raw:
            self.counts["filtered"] += 1
            return None
        try:
            event = self._event(raw)
        except RefusedError as refused:
            self.counts["rejected"] += 1
            self.counts[f"rejected_{refused}"] += 1
            return None
        if event:
            self.counts["events"] += 1
        return event

    def _event(self, raw: bytes) -> str | None:
        if len(raw) > LINE_MAX:
            raise RefusedError("too_long")
        try:
            line = Line(raw.decode())
        except UnicodeDecodeError:
            raise RefusedError("invalid_utf8") from None
        has_channel = bool(line.params) and re.match(r"#.", line.params[0]) is not None
        if line.command in CONTROL or re.fullmatch(r"[0-9]{3}", line.command) or (line.command == "NOTICE" and not has_channel):
            self.counts["filtered"] += 1
            return None
        if line.command not in ("PRIVMSG", "USERNOTICE", "CLEARCHAT", "CLEARMSG", "ROOMSTATE", "NOTICE"):
            raise RefusedError("unknown_kind")
        if not has_channel:
            raise RefusedError("missing_field")
        payload = payload_of(line)
        action = re.fullmatch("\x01ACTION (.*?)\x01?", payload.get("message", "")) if line.command == "PRIVMSG" else None
        if action:
            payload["message"] = action[1]
        time_ms = self._time(line)
        metadata = metadata_of(line, payload.get("message", ""), action is not None)
        return self._write(line, time_ms, payload, metadata)

    def _time(self, line: Line) -> int:
        text = line.tags.get("tmi-sent-ts", "")
        if text and (not re.fullmatch(r"[0-9]+", text) or int(text) > TIME_MAX_MS):
            raise RefusedError("bad_time")
        if not text and self.newest < 0:
            raise RefusedError("no_time")
        return int(text) if text else self.newest

    def _write(self, line: Line, time_ms: int, payload: Json, metadata: Json) -> str | None:
        payload = {name: value for name, value in payload.items() if value != ""}
        if metadata:
            payload["metadata"] = metadata
        identity = line.tags.get("id", "")
        event = {
            "schema": 1,
            "id": f"twitch:{identity}" if identity else "?",
            "source": "twitch",
            "timestamp": time_text(time_ms),
            "payload": payload,
        }
        text = json.dumps(event, ensure_ascii=False, separators=(",", ":"))
        key = identity or text
        if key in self.seen:
            self.counts["duplicates"] += 1
            return None
        self.seen.add(key)
        if line.tags.get("tmi-sent-ts"):
            self.newest = max(self.newest, time_ms)
        return text


# ---- the corpus ----

WORDS = "hello chat LUL Kappa what was that play gg wp never lucky ever ünïcode 日本語 😀 👩‍👩‍👧 \U0001f1e9\U0001f1ea ́ :) ;) = \\ \" ' <b> \t".split(
    " "
)
NAMES = ["ann", "bob_99", "x", "a" * 25, "late_maple64", "jtv"]
SHOWN = ["Ann", "", "アン", "Late\\sMaple", "a\\:b\\\\c", "\\", "\\q\\", "<script>", "\u202eevil", "\\r\\n"]


class Corpus:
    """Random lines as Twitch would send them, and as it would not."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.time_ms = 1_700_000_000_000

    def text(self) -> str:
        return " ".join(self.random.choice(WORDS) for _ in range(self.random.randrange(12)))

    def id(self) -> str:
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def emotes(self, length: int) -> str:
        if self.random.random() < 0.5:
            return ""
        spans = []
        for _ in range(self.random.randrange(1, 4)):
            begin = self.random.randrange(length + 3)
            spans.append(f"{begin}-{begin + self.random.randrange(-1, 8)}")
        broken = self.random.choice(
            ["", "", "", "/9:", "/:0-1", "/7", "/7:1", "/7:a-b", "/7:-1-2", "/7:0-99999999999999999999", "/"]
        )
        return f"{self.random.choice(['25', 'emotesv2_ab', '1902'])}:{','.join(spans)}{broken}"

    def tags(self, values: dict[str, str]) -> str:
        """With some left out, repeated, unknown or spoiled."""
        shown = [(key, value) for key, value in values.items() if self.random.random() > 0.05]
        if self.random.random() < 0.1:
            shown.append(self.random.choice(list(values.items())))
        if self.random.random() < 0.1:
            shown.insert(
                self.random.randrange(len(shown) + 1), (self.random.choice(["new-tag", "+x/y", "", "vendor/z"]), "v\\s1")
            )
        if self.random.random() < 0.08 and shown:
            at = self.random.randrange(len(shown))
            shown[at] = (
                shown[at][0],
                self.random.choice(["", "x", "-1", "99999999999999999999", "253402300800000", "\\s", "1=2", "é"]),
            )
        if self.random.random() < 0.2:
            self.random.shuffle(shown)
        return ";".join(key if value == "" and self.random.random() < 0.1 else f"{key}={value}" for key, value in shown)

    def common(self, text: str) -> dict[str, str]:
        pick = self.random.choice
        self.time_ms += self.random.randrange(-50, 400)
        return {
            "badge-info": pick(["", "subscriber/8", "predictions/blue\\s(a\\sb)"]),
            "badges": pick(["", "subscriber/6,premium/1", "broadcaster/1", "vip/1,vip/2,,x", "/1"]),
            "client-nonce": pick(["", "0123456789abcdef"]),
            "color": pick(["", "#1E90FF", "#abcdef", "red", "#12345", "#GGGGGG"]),
            "display-name": pick(SHOWN),
            "emotes": self.emotes(len(text)),
            "first-msg": pick("01"),
            "flags": pick(["", "0-4:P.6"]),
            "id": self.id(),
            "mod": pick("01"),
            "room-id": "71000001",
            "subscriber": pick("01"),
            "tmi-sent-ts": str(self.time_ms),
            "turbo": pick("01"),
            "user-id": str(self.random.randrange(10**8)),
            "user-type": pick(["", "mod"]),
        }

    def message(self) -> str:
        text = self.text()
        values = self.common(text)
        if self.random.random() < 0.2:
            values |= {
                "reply-parent-display-name": self.random.choice(SHOWN),
                "reply-parent-msg-body": "what\\sabout\\:it",
                "reply-parent-msg-id": self.id(),
                "reply-parent-user-id": "7",
                "reply-parent-user-login": "bob",
                "reply-thread-parent-msg-id": self.id(),
                "reply-thread-parent-user-login": "bob",
            }
        if self.random.random() < 0.1:
            values |= {"source-badge-info": "", "source-badges": "moderator/1", "source-id": self.id(), "source-room-id": "9",
                       "source-only": "0"}  # fmt: skip
        if self.random.random() < 0.2:
            values[self.random.choice(["bits", "vip", "emote-only", "returning-chatter"])] = self.random.choice(["1", "100", "0"])
        if self.random.random() < 0.1:
            text = f"\x01ACTION {text}" + self.random.choice(["\x01", ""])
        name = self.random.choice(NAMES)
        prefix = self.random.choice(
            [f"{name}!{name}@{name}.tmi.twitch.tv"] * 30 + [name, f"{name}@host", "tmi.twitch.tv", "!x@y"]
        )
        return f"@{self.tags(values)} :{prefix} PRIVMSG #room :{text}"

    def notice(self) -> str:
        text = self.random.choice(["", self.text()])
        occasion = self.random.choice([*SUBSCRIPTIONS, "raid", "raid", "unraid", "announcement", "viewermilestone", "ritual",
                                       "bitsbadgetier", "sharedchatnotice", "charitydonation"])  # fmt: skip
        values = self.common(text) | {
            "login": self.random.choice(NAMES),
            "msg-id": occasion,
            "system-msg": "Ann\\ssaid\\:\\s\\\\o/",
            "msg-param-cumulative-months": self.random.choice(["", "8", "x"]),
            "msg-param-months": self.random.choice(["0", "12"]),
            "msg-param-streak-months": "3",
            "msg-param-sub-plan": self.random.choice(["1000", "Prime"]),
            "msg-param-sub-plan-name": "Channel\\sSubscription",
            "msg-param-should-share-streak": "1",
            "msg-param-goal-description": self.random.choice(["", "new\\spc\\\\"]),
        }
        if occasion == "sharedchatnotice":
            values |= {"source-msg-id": self.random.choice(["raid", "sub", "announcement", "new"]), "source-id": self.id()}
        if "gift" in occasion:
            values |= {"msg-param-recipient-display-name": "Bob", "msg-param-recipient-id": "5", "msg-param-recipient-user-name": "bob",
                       "msg-param-gift-months": "3", "msg-param-mass-gift-count": "20"}  # fmt: skip
        if occasion == "raid":
            values |= {"msg-param-viewerCount": str(self.random.randrange(10**6)), "msg-param-login": "ann"}
        if occasion == "announcement":
            values |= {"msg-param-color": "PURPLE"}
        return f"@{self.tags(values)} :tmi.twitch.tv USERNOTICE #room" + (f" :{text}" if text else "")

    def moderation(self) -> str:
        pick = self.random.choice
        self.time_ms += self.random.randrange(400)
        values = {"room-id": "71000001", "tmi-sent-ts": str(self.time_ms)}
        deed = self.random.randrange(5)
        if deed == 0:
            return f"@{self.tags(values)} :tmi.twitch.tv CLEARCHAT #room"
        if deed == 1:
            return f"@{self.tags(values | {'target-user-id': '42'})} :tmi.twitch.tv CLEARCHAT #room :{pick(NAMES)}"
        if deed == 2:
            values |= {"ban-duration": pick(["1", "600", "1209600", "x"]), "target-user-id": "42"}
            return f"@{self.tags(values)} :tmi.twitch.tv CLEARCHAT #room :{pick(NAMES)}"
        values = {"login": pick(NAMES), "room-id": "", "target-msg-id": self.id(), "tmi-sent-ts": str(self.time_ms)}
        return f"@{self.tags(values)} :tmi.twitch.tv CLEARMSG #room :{self.text()}"

    def state(self) -> str:
        pick = self.random.choice
        if self.random.random() < 0.5:
            return f"@msg-id={pick(['slow_on', 'msg_banned', ''])} :tmi.twitch.tv NOTICE #room :{self.text()}"
        values = {"emote-only": pick("01"), "followers-only": pick(["-1", "0", "30"]), "r9k": pick("01"), "room-id": "71000001",
                  "slow": pick(["0", "30"]), "subs-only": pick("01")}  # fmt: skip
        if self.random.random() < 0.5:
            values = {"room-id": "71000001", "slow": pick(["0", "5"])}
        return f"@{self.tags(values)} :tmi.twitch.tv ROOMSTATE #room"

    def control(self) -> str:
        return self.random.choice(
            [
                "PING :tmi.twitch.tv",
                ":tmi.twitch.tv CAP * ACK :twitch.tv/tags twitch.tv/commands",
                ":tmi.twitch.tv 001 justinfan1 :Welcome, GLHF!",
                ":justinfan1.tmi.twitch.tv 366 justinfan1 #room :End of /NAMES list",
                ":tmi.twitch.tv NOTICE * :Login authentication failed",
                ":tmi.twitch.tv RECONNECT",
                ":tmi.twitch.tv HOSTTARGET #room :other 3",
                "@badges=;user-id=1 :tmi.twitch.tv USERSTATE #room",
                "@user-id=1 :tmi.twitch.tv GLOBALUSERSTATE",
                "@user-id=2 :bob!bob@bob.tmi.twitch.tv WHISPER justinfan1 :psst",
                ":ann!ann@ann.tmi.twitch.tv JOIN #room",
                ":ann!ann@ann.tmi.twitch.tv PART #room",
                "",
            ]
        )

    def wrong(self) -> bytes:
        line = self.message().encode()
        at = self.random.randrange(len(line))
        return self.random.choice(
            [
                line[:at] + b"\xff" + line[at:],
                line[:at] + b"\0" + line[at:],
                line[:at] + b"\r" + line[at:],
                line[:at],
                line[at:],
                line.replace(b" PRIVMSG", b" PRIVMSGS"),
                line.replace(b"#room", b"room"),
                line.replace(b" :", b" ", 1),
                b'{"stream":"x"}',
                b"@a=b",
                b":",
                b"   ",
                b"\xed\xa0\x80 x",
                line + b"x" * (LINE_MAX - len(line)),
                line + b"x" * (LINE_MAX + 1 - len(line)),
            ]
        ).replace(b"\n", b" ")

    def lines(self, count: int) -> list[bytes]:
        makers = [self.message] * 10 + [self.notice] * 3 + [self.moderation] * 3 + [self.state] * 2 + [self.control] * 2
        found: list[bytes] = [b"@slow=0 :tmi.twitch.tv ROOMSTATE #early"]
        while len(found) < count:
            chance = self.random.random()
            if chance < 0.04:
                found.append(self.random.choice(found[-20:]))
            elif chance < 0.10:
                found.append(self.wrong())
            else:
                found.append(self.random.choice(makers)().encode())
        return found + CORNERS


# The last times that an event may carry, and the first it may not; names and texts of which nothing is to be unescaped.
CORNERS = [
    b"@id=c1;tmi-sent-ts=253402300799999 :a!a@a PRIVMSG #room :last",
    b"@id=c2;tmi-sent-ts=253402300800000 :a!a@a PRIVMSG #room :too late",
    b"@id=c3;tmi-sent-ts=0 :a!a@a PRIVMSG #room :first",
    b"@display-name=x\\sy;id=c4;tmi-sent-ts=0 :a\\sb!a@a PRIVMSG #ro\\som :te\\sxt",
    b"@id=\\;tmi-sent-ts=0 :a!a@a PRIVMSG #room :an id that is none",
    b"@emotes=1:0-0,2-1,18446744073709551615-18446744073709551616;id=c5;tmi-sent-ts=0 :a!a@a PRIVMSG #room :x",
    b"@emotes=1:0-0;id=c6;tmi-sent-ts=0 :a!a@a PRIVMSG #room :",
    b"@id=c7;login=l\\sm;tmi-sent-ts=0 :tmi.twitch.tv PRIVMSG #room :by login",
    b"@id=c8;tmi-sent-ts=0 :tmi.twitch.tv USERNOTICE #room",
    b"@tmi-sent-ts=0 :tmi.twitch.tv CLEARCHAT #room :",
]


# ---- commands ----


def read_lines(path: str) -> list[bytes]:
    return [line.removesuffix(b"\r") for line in pathlib.Path(path).read_bytes().removesuffix(b"\n").split(b"\n")]


def events_of(lines: list[bytes]) -> tuple[list[str], str]:
    oracle = Oracle()
    events = [event for event in map(oracle.event, lines) if event]
    return events, "".join(f"{name}\t{count}\n" for name, count in sorted(oracle.counts.items()))


def files() -> dict[pathlib.Path, bytes]:
    lines = Corpus(1).lines(700)
    events, counts = events_of(lines)
    return {
        DATA / "chat.lines": b"".join(line + b"\n" for line in lines),
        DATA / "chat.events.jsonl": "".join(event + "\n" for event in events).encode(),
        DATA / "chat.counts.tsv": counts.encode(),
    }


def compare(lines: str, events: str) -> int:
    expected = events_of(read_lines(lines))[0]
    got = [
        re.sub(r'"id":"[0-9a-f]{32}"', '"id":"?"', line, count=1) for line in pathlib.Path(events).read_text("utf-8").splitlines()
    ]
    got = [re.sub(r',"received":"[^"]*"', "", line, count=1) for line in got]
    for at, (a, b) in enumerate(zip(expected, got, strict=False)):
        if a != b:
            print(f"event {at + 1}:\n expected {a}\n      got {b}")
            return 1
    if len(expected) != len(got):
        print(f"{len(got)} events instead of {len(expected)}")
        return 1
    print(f"{len(got)} events agree")
    return 0


def main(arguments: list[str]) -> int:
    match arguments:
        case ["events", path]:
            events, counts = events_of(read_lines(path))
            sys.stdout.write("".join(event + "\n" for event in events))
            sys.stderr.write(counts)
        case ["corpus", seed, count]:
            sys.stdout.buffer.write(b"".join(line + b"\n" for line in Corpus(int(seed)).lines(int(count))))
        case ["write"]:
            DATA.mkdir(parents=True, exist_ok=True)
            for target, content in files().items():
                target.write_bytes(content)
        case ["check"]:
            wrong = [path for path, content in files().items() if not path.exists() or path.read_bytes() != content]
            print("\n".join(f"{path} differs" for path in wrong), end="\n" if wrong else "")
            return 1 if wrong else 0
        case ["compare", lines, events]:
            return compare(lines, events)
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
