#!/usr/bin/env python3
"""Expected events for EventSub messages of Twitch chat: a second implementation, plain and slow, in Python.

Written from the description of EventSub (dev.twitch.tv/docs/eventsub: websocket-reference, eventsub-subscription-types)
and of the event format, not from the C code.  Records without an id of their own get a hash: its place is held by "?".

    twitch_eventsub_oracle.py events FRAMES           the events of a file of frames, and the counts on standard error
    twitch_eventsub_oracle.py corpus SEED COUNT       random frames, good and bad
    twitch_eventsub_oracle.py write                   writes tests/data/twitch/eventsub.*
    twitch_eventsub_oracle.py check                   compares with what is there
    twitch_eventsub_oracle.py compare FRAMES EVENTS   line by line against another program's events; exit 1 if they differ
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
from collections.abc import Callable
from typing import Any

DATA = pathlib.Path(__file__).resolve().parents[1] / "data" / "twitch"
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
Json = dict[str, Any]


class Refused(Exception):
    """The reason is its text."""


# ---- fields ----


def text(where: Any, name: str) -> str:
    value = where.get(name) if isinstance(where, dict) else None
    if value is None:
        return ""
    if not isinstance(value, str):
        raise Refused("wrong_type")
    return value


def needed(where: Any, name: str) -> str:
    value = text(where, name)
    if not value:
        raise Refused("missing_field")
    return value


def child(where: Any, name: str) -> Json | None:
    value = where.get(name) if isinstance(where, dict) else None
    if value is not None and not isinstance(value, dict):
        raise Refused("wrong_type")
    return value


def loose(where: Any, name: str) -> str:
    """A text inside of badges, emotes, replies: what is none is left out."""
    value = where.get(name) if isinstance(where, dict) else None
    return value if isinstance(value, str) else ""


def microseconds(value: str) -> int:
    match = re.fullmatch(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)", value)
    if not match:
        raise Refused("bad_time")
    zone = "+00:00" if match[3] == "Z" else match[3]
    try:
        whole = datetime.datetime.fromisoformat(match[1] + zone)
    except ValueError:
        raise Refused("bad_time") from None
    return round((whole - EPOCH).total_seconds()) * 1_000_000 + int((match[2] or "0")[:6].ljust(6, "0"))


def rfc3339(us: int) -> str:
    return (EPOCH + datetime.timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


# ---- metadata ----


def badges(values: Any, part: str) -> Json:
    found: Json = {}
    for badge in values if isinstance(values, list) else []:
        name, value = loose(badge, "set_id"), loose(badge, part)
        if name and value and name not in found and len(found) < 16:
            found[name] = value
    return found


def wears(values: Any, *names: str) -> bool:
    return any(loose(badge, "set_id") in names for badge in (values if isinstance(values, list) else []))


def emotes(fragments: Any, whole: str, skipped: int) -> list[Json]:
    parts = fragments if isinstance(fragments, list) else []
    found: list[Json] = []
    at = skipped if skipped and parts and not whole.startswith(loose(parts[0], "text")) else 0
    for part in parts:
        shown = loose(part, "text")
        if whole[at : at + len(shown)] != shown:
            break
        ident = loose(part.get("emote") if isinstance(part, dict) else None, "id")
        if ident and shown and at >= skipped and len(found) < 256:
            begin = at - skipped
            found.append({"id": ident, "name": shown, "begin": begin, "end": begin + len(shown) - 1})
        at += len(shown)
    return found


REPLY = {
    "parent_message_id": "reply_parent_id",
    "parent_user_login": "reply_parent_user",
    "parent_user_id": "reply_parent_user_id",
    "parent_user_name": "reply_parent_display_name",
    "parent_message_body": "reply_parent_message",
    "thread_message_id": "reply_thread_id",
    "thread_user_login": "reply_thread_user",
}
MESSAGE_TYPES = {
    "text": "",
    "channel_points_highlighted": "highlighted-message",
    "channel_points_sub_only": "skip-subs-mode-message",
    "user_intro": "user-intro",
    "power_ups_message_effect": "animated-message",
    "power_ups_gigantified_emote": "gigantified-emote-message",
}
NOTICES = {
    "sub": ("sub", "subscription"),
    "resub": ("resub", "subscription"),
    "sub_gift": ("subgift", "subscription"),
    "community_sub_gift": ("submysterygift", "subscription"),
    "gift_paid_upgrade": ("giftpaidupgrade", "subscription"),
    "prime_paid_upgrade": ("primepaidupgrade", "subscription"),
    "pay_it_forward": ("standardpayforward", "subscription"),
    "raid": ("raid", "raid"),
    "unraid": ("unraid", "notice"),
    "announcement": ("announcement", "announcement"),
    "bits_badge_tier": ("bitsbadgetier", "notice"),
    "charity_donation": ("charitydonation", "notice"),
    "watch_streak": ("viewermilestone", "notice"),
}
DETAILS = {
    "sub_tier": "tier",
    "cumulative_months": "months",
    "streak_months": "streak_months",
    "total": "gift_count",
    "recipient_user_login": "recipient",
    "recipient_user_id": "recipient_id",
    "recipient_user_name": "recipient_display_name",
    "viewer_count": "viewers",
    "color": "announcement_color",
}


def put(metadata: Json, key: str, value: str) -> None:
    if value:
        metadata[key] = value


def put_rooms(event: Json, metadata: Json) -> None:
    put(metadata, "room_id", text(event, "broadcaster_user_id"))
    source = text(event, "source_message_id")
    if not source:
        return
    metadata["source_id"] = source
    put(metadata, "source_room_id", text(event, "source_broadcaster_user_id"))
    metadata["source_badges"] = badges(event.get("source_badges"), "id")
    info = badges(event.get("source_badges"), "info")
    if info:
        metadata["source_badge_info"] = info
    only = event.get("is_source_only")
    if only is not None and not isinstance(only, bool):
        raise Refused("wrong_type")
    metadata["source_only"] = only is True


class Making:
    """One event on its way: payload fields, metadata, and whether it is a /me."""

    def __init__(self, event: Json) -> None:
        self.event, self.kind, self.id = event, "", "?"
        self.fields: dict[str, str] = {"channel": needed(event, "broadcaster_user_login")}
        self.metadata: Json = {}
        self.action = False
        self.time_us: int | None = None

    def who(self, prefix: str, *, is_needed: bool = False) -> None:
        event = self.event
        self.fields["username"] = needed(event, prefix + "login") if is_needed else text(event, prefix + "login")
        self.fields["display_name"] = text(event, prefix + "name")
        self.fields["user_id"] = text(event, prefix + "id")

    def said(self) -> None:
        worn = self.event.get("badges")
        color = text(self.event, "color")
        message = child(self.event, "message")
        whole = text(message, "text")
        shown, skipped = whole, 0
        if whole.startswith("\x01ACTION "):
            self.action, skipped = True, 8
            shown = whole[8:].removesuffix("\x01") if whole[8:].endswith("\x01") else whole[8:]
        self.fields["message"] = shown
        self.metadata["badges"] = badges(worn, "id")
        info = badges(worn, "info")
        if info:
            self.metadata["badge_info"] = info
        if re.fullmatch(r"#[0-9a-fA-F]{6}", color):
            self.metadata["color"] = color
        found = emotes(message.get("fragments") if message else None, whole, skipped)
        if found:
            self.metadata["emotes"] = found

    def standing(self) -> None:
        worn = self.event.get("badges")
        self.metadata["moderator"] = wears(worn, "moderator", "lead_moderator")
        self.metadata["subscriber"] = wears(worn, "subscriber", "founder")
        if wears(worn, "vip"):
            self.metadata["vip"] = True

    def own_id(self) -> None:
        self.id = "twitch:" + needed(self.event, "message_id")


def message(event: Json) -> Making:
    making = Making(event)
    making.kind = "message"
    making.who("chatter_user_", is_needed=True)
    making.said()
    if child(event, "message") is None:
        raise Refused("missing_field")
    cheer = child(event, "cheer")
    if cheer and isinstance(cheer.get("bits"), int):
        making.metadata["bits"] = cheer["bits"]
    making.standing()
    reply = child(event, "reply")
    for name, key in REPLY.items():
        put(making.metadata, key, loose(reply, name))
    put(making.metadata, "custom_reward_id", text(event, "channel_points_custom_reward_id"))
    put_rooms(event, making.metadata)
    kind = text(event, "message_type")
    put(making.metadata, "msg_id", MESSAGE_TYPES.get(kind, kind))
    making.own_id()
    return making


def put_details(metadata: Json, details: Json, notice: str) -> None:
    if notice == "sub":
        metadata["months"] = 1
    for name, key in DETAILS.items():
        value = details.get(name)
        if value is None or value == "" or isinstance(value, dict | list):
            continue
        metadata[key] = "Prime" if name == "sub_tier" and details.get("is_prime") is True else value
    if notice == "sub_gift" and isinstance(details.get("duration_months"), int):
        metadata["gift_months"] = details["duration_months"]
    params = {name: value for name, value in details.items() if value is not None and name not in DETAILS}
    if params:
        metadata["params"] = params


def notification(event: Json) -> Making:
    making = Making(event)
    notice = needed(event, "notice_type")
    plain = notice.removeprefix("shared_chat_")
    msg_id, making.kind = NOTICES.get(plain, (plain, "notice"))
    making.who("chatter_user_")
    anonymous = event.get("chatter_is_anonymous")
    if not making.fields["username"]:
        if anonymous is not None and not isinstance(anonymous, bool):
            raise Refused("wrong_type")
        if anonymous:
            making.fields |= {"username": "ananonymousgifter", "display_name": "AnAnonymousGifter", "user_id": "274598607"}
    making.said()
    making.standing()
    put_rooms(event, making.metadata)
    making.metadata["msg_id"] = "sharedchatnotice" if plain != notice else msg_id
    if plain != notice:
        making.metadata["source_msg_id"] = msg_id
    put(making.metadata, "system_message", text(event, "system_message"))
    if isinstance(event.get(notice), dict):
        put_details(making.metadata, event[notice], plain)
    making.own_id()
    return making


def delete(event: Json) -> Making:
    making = Making(event)
    making.kind = "delete"
    making.who("target_user_")
    making.metadata["target_message_id"] = needed(event, "message_id")
    put_rooms(event, making.metadata)
    return making


def clear(event: Json) -> Making:
    making = Making(event)
    making.kind = "clear"
    put_rooms(event, making.metadata)
    return making


def clear_user(event: Json) -> Making:
    making = Making(event)
    making.kind = "clear"
    making.who("target_user_", is_needed=True)
    put_rooms(event, making.metadata)
    return making


def ban(event: Json) -> Making:
    making = Making(event)
    making.kind = "ban"
    making.who("user_", is_needed=True)
    begin, end = text(event, "banned_at"), text(event, "ends_at")
    if begin:
        making.time_us = microseconds(begin)
    put_rooms(event, making.metadata)
    if end and event.get("is_permanent") is not True:
        making.kind = "timeout"
        assert making.time_us is not None, "the corpus always says both"
        length_us = microseconds(end) - making.time_us
        if length_us < 0:
            raise Refused("bad_time")
        making.metadata["duration_seconds"] = (length_us + 500_000) // 1_000_000
    put(making.metadata, "reason", text(event, "reason"))
    put(making.metadata, "moderator_user", text(event, "moderator_user_login"))
    put(making.metadata, "moderator_user_id", text(event, "moderator_user_id"))
    return making


MAKERS: dict[str, Callable[[Json], Making]] = {
    "channel.chat.message": message,
    "channel.chat.notification": notification,
    "channel.chat.message_delete": delete,
    "channel.chat.clear": clear,
    "channel.chat.clear_user_messages": clear_user,
    "channel.ban": ban,
}
KINDS = ("notification", "session_keepalive", "session_welcome", "session_reconnect", "revocation")


class Oracle:
    def __init__(self) -> None:
        self.seen: set[str] = set()
        self.counts: collections.Counter[str] = collections.Counter()

    def event(self, frame: bytes) -> str | None:
        self.counts["frames"] += 1
        try:
            made = self.read(frame)
        except Refused as refused:
            self.counts["rejected"] += 1
            self.counts[f"rejected_{refused}"] += 1
            return None
        if made:
            self.counts["events"] += 1
        return made

    def read(self, frame: bytes) -> str | None:
        try:
            root = json.loads(frame.decode())
        except UnicodeDecodeError:
            raise Refused("invalid_utf8") from None
        except ValueError:
            raise Refused("malformed_json") from None
        if not isinstance(root, dict):
            raise Refused("wrong_type")
        metadata, payload = child(root, "metadata"), child(root, "payload")
        kind, ident, time = (needed(metadata, name) for name in ("message_type", "message_id", "message_timestamp"))
        time_us = microseconds(time)
        if kind not in KINDS:
            raise Refused("unknown_kind")
        if kind in ("session_welcome", "session_reconnect"):
            needed(child(payload, "session"), "id")
        if kind in ("notification", "revocation"):
            return self.about_subscription(kind, ident, time_us, payload)
        self.counts["filtered"] += 1
        return None

    def about_subscription(self, kind: str, ident: str, time_us: int, payload: Json | None) -> str | None:
        subscription = needed(child(payload, "subscription"), "type")
        event = child(payload, "event") if kind == "notification" else {}
        if event is None:
            raise Refused("missing_field")
        if kind == "revocation" or subscription not in MAKERS:
            self.counts["filtered"] += 1
            return None
        if ident in self.seen:
            self.counts["duplicates"] += 1
            return None
        making = MAKERS[subscription](event)
        self.seen.add(ident)
        if making.id != "?" and making.id in self.seen:
            self.counts["duplicates"] += 1
            return None
        self.seen.add(making.id)
        payload_out = {"kind": making.kind}
        for name in ("channel", "username", "display_name", "user_id", "message"):
            if making.fields.get(name):
                payload_out[name] = making.fields[name]
        metadata = making.metadata | ({"action": True} if making.action else {})
        whole: Json = {"schema": 1, "id": making.id, "source": "twitch"}
        whole["timestamp"] = rfc3339(time_us if making.time_us is None else making.time_us)
        whole["payload"] = payload_out | ({"metadata": metadata} if metadata else {})
        return json.dumps(whole, ensure_ascii=False, separators=(",", ":"))


# ---- a corpus ----


class Corpus:
    TEXTS = (
        "hello", "Kappa", "what a game!", "„schön“ 🎉", "日本語", "a  b", "\\o/ \"quoted\"", "tab\there", "0", "<b>&amp;</b>",
        "e\u0301", "👩‍👩‍👧", "\u202eright", "x" * 500,
    )  # fmt: skip
    BADGES = ("subscriber", "moderator", "vip", "founder", "premium", "bits", "broadcaster", "lead_moderator")

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.number = 0

    def ident(self) -> str:
        self.number += 1
        return str(uuid.UUID(int=self.random.getrandbits(128), version=4))

    def maybe(self, chance: float) -> bool:
        return self.random.random() < chance

    def someone(self, prefix: str) -> Json:
        name = f"viewer{self.random.randrange(40)}"
        shown = self.random.choice((name, name.capitalize(), "名前", "with space"))
        return {f"{prefix}id": str(1000 + hash_of(name)), f"{prefix}login": name, f"{prefix}name": shown}

    def room(self, prefix: str = "broadcaster_user_") -> Json:
        name = self.random.choice(("dallas", "houston", "the_room"))
        return {f"{prefix}id": str(hash_of(name)), f"{prefix}login": name, f"{prefix}name": name.capitalize()}

    def badges(self) -> list[Json]:
        worn = self.random.sample(self.BADGES, self.random.randrange(4))
        info = {"subscriber": "9"}
        return [{"set_id": name, "id": str(self.random.randrange(100)), "info": info.get(name, "")} for name in worn]

    def message(self) -> Json:
        fragments: list[Json] = []
        for _ in range(self.random.randrange(5)):
            part: Json = {
                "type": "text",
                "text": self.random.choice(self.TEXTS),
                "cheermote": None,
                "emote": None,
                "mention": None,
            }
            if self.maybe(0.4):
                emote = {"id": str(self.random.randrange(9999)), "emote_set_id": "0", "owner_id": "0", "format": ["static"]}
                part |= {"type": "emote", "emote": emote}
            fragments.append(part)
        whole = "".join(part["text"] for part in fragments)
        if self.maybe(0.1):
            fragments.append({"type": "text", "text": "elsewhere"})  # is not in the text
            fragments.append({"type": "emote", "text": "Kappa", "emote": {"id": "25"}})
        elif self.maybe(0.1):
            whole = f"\x01ACTION {whole}" + ("\x01" if self.maybe(0.9) else "")
            if self.maybe(0.5):
                fragments.insert(0, {"type": "text", "text": "\x01ACTION "})
        return {"text": whole, "fragments": fragments}

    def source(self) -> Json:
        if not self.maybe(0.2):
            names = ("user_id", "user_login", "user_name")
            return {f"source_broadcaster_{name}": None for name in names} | {"source_message_id": None, "source_badges": None}
        return self.room("source_broadcaster_user_") | {
            "source_message_id": self.ident(),
            "source_badges": self.badges(),
            "is_source_only": self.maybe(0.5),
        }

    def chat(self) -> Json:
        event = self.room() | self.someone("chatter_user_") | {"message_id": self.ident(), "message": self.message()}
        event |= {"color": self.random.choice(("", "#00FF7F", "#abcdef", "red", "#12345")), "badges": self.badges()}
        kinds = [*MESSAGE_TYPES, "something_new"]
        event |= {"message_type": "text" if self.maybe(0.7) else self.random.choice(kinds)}
        event |= {"cheer": {"bits": self.random.choice((1, 100, 5000))} if self.maybe(0.2) else None}
        event |= {"reply": None, "channel_points_custom_reward_id": self.ident() if self.maybe(0.1) else None}
        if self.maybe(0.2):
            parent, thread = self.someone("parent_user_"), self.someone("thread_user_")
            event["reply"] = parent | thread | {"parent_message_id": self.ident(), "thread_message_id": self.ident()}
            event["reply"] |= {"parent_message_body": self.random.choice(self.TEXTS)}
        return self.wrap("channel.chat.message", event | self.source())

    def details(self, notice: str) -> Json:
        subscription = {"sub_tier": self.random.choice(("1000", "2000", "3000")), "is_prime": self.maybe(0.3)}
        gifter = {"gifter_is_anonymous": False, "gifter_user_id": None, "gifter_user_login": "giver", "gifter_user_name": "Giver"}
        by = self.someone("user_")
        amount = {"value": 5, "decimal_place": 2, "currency": "EUR"}
        resub: Json = {"cumulative_months": 12, "duration_months": 1, "streak_months": None, "is_gift": True}
        known: dict[str, Json] = {
            "sub": subscription | {"duration_months": 1},
            "resub": subscription | gifter | resub,
            "sub_gift": self.someone("recipient_user_") | {"duration_months": 3, "cumulative_total": None, "sub_tier": "1000"},
            "community_sub_gift": {"id": "12345678901234567890", "total": 5, "sub_tier": "1000", "cumulative_total": 20},
            "gift_paid_upgrade": gifter,
            "prime_paid_upgrade": {"sub_tier": "1000"},
            "pay_it_forward": gifter,
            "raid": by | {"viewer_count": self.random.randrange(9999), "profile_image_url": "https://x/y.png"},
            "unraid": {},
            "announcement": {"color": self.random.choice(("PRIMARY", "BLUE"))},
            "bits_badge_tier": {"tier": 1000},
            "charity_donation": {"charity_name": "A „good“ cause", "amount": amount},
            "watch_streak": {"streak_count": 5, "channel_points_awarded": 450},
        }
        return known.get(notice, {"anything": 1.50, "list": [1, "two", None], "yes": True})

    def notice(self) -> Json:
        plain = self.random.choice([*NOTICES, "modiversary"])
        name = f"shared_chat_{plain}" if self.maybe(0.15) else plain
        event = self.room() | self.someone("chatter_user_") | {"chatter_is_anonymous": False}
        if self.maybe(0.1):
            event |= dict.fromkeys(("chatter_user_id", "chatter_user_login", "chatter_user_name")) | {
                "chatter_is_anonymous": True
            }
        event |= {"color": "", "badges": self.badges()}
        event |= {"system_message": self.random.choice(("", "viewer23 subscribed at Tier 1.")), "message_id": self.ident()}
        event |= {"message": self.message() if self.maybe(0.5) else {"text": "", "fragments": []}, "notice_type": name}
        event |= dict.fromkeys(NOTICES) | {name: self.details(plain)}
        return self.wrap("channel.chat.notification", event | self.source())

    def moderation(self) -> Json:
        name = self.random.choice([one for one in MAKERS if one not in ("channel.chat.message", "channel.chat.notification")])
        event = self.room()
        if name in ("channel.chat.message_delete", "channel.chat.clear_user_messages"):
            event |= self.someone("target_user_")
        if name == "channel.chat.message_delete":
            event["message_id"] = self.ident()
        if name == "channel.ban":
            begin = 1_700_000_000_000_000 + self.random.randrange(10**9)
            event |= self.someone("user_") | self.someone("moderator_user_") | {"reason": self.random.choice(("", "spam"))}
            event |= {"banned_at": rfc3339(begin)[:-1] + "123Z", "is_permanent": True, "ends_at": None}
            if self.maybe(0.6):
                length_us = self.random.choice((1_000_000, 599_999_900, 86_400_000_000, 0))
                event |= {"is_permanent": False, "ends_at": rfc3339(begin + length_us)}
        return self.wrap(name, event)

    def wrap(self, kind: str, event: Json) -> Json:
        time = rfc3339(1_700_000_000_000_000 + self.number * 1_234_567)[:-1] + "789Z"
        metadata = {"message_id": self.ident(), "message_type": "notification", "message_timestamp": time}
        metadata |= {"subscription_type": kind, "subscription_version": "1"}
        condition = {"broadcaster_user_id": event["broadcaster_user_id"], "user_id": "42"}
        subscription = {"id": self.ident(), "status": "enabled", "type": kind, "version": "1", "condition": condition, "cost": 0}
        subscription |= {"transport": {"method": "websocket", "session_id": "AgoQ"}, "created_at": time}
        return {"metadata": metadata, "payload": {"subscription": subscription, "event": event}}

    def control(self) -> Json:
        kind = self.random.choice([*KINDS[1:], "session_surprise"])
        session = {"id": "AQoQ", "status": "connected", "keepalive_timeout_seconds": 30, "reconnect_url": None}
        payload: Json = {} if kind == "session_keepalive" else {"session": session}
        if kind == "revocation":
            payload = {"subscription": {"type": "channel.chat.message", "status": "user_removed", "condition": {}}}
        time = self.random.choice(("2026-11-24T10:11:12.123456789Z", "2026-11-24T10:11:12Z", "2026-11-24T12:11:12.5+02:00"))
        return {"metadata": {"message_id": self.ident(), "message_type": kind, "message_timestamp": time}, "payload": payload}

    def wrong(self) -> bytes:
        """One thing is wrong with it."""
        root = self.random.choice((self.chat, self.notice, self.moderation))()
        event, metadata, payload = root["payload"]["event"], root["metadata"], root["payload"]
        faults: list[Callable[[], object]] = [
            lambda: metadata.pop("message_id"),
            lambda: metadata.update(message_id=7),
            lambda: metadata.update(message_timestamp="yesterday"),
            lambda: metadata.update(message_timestamp="2023-02-30T00:00:00Z"),
            lambda: metadata.update(message_type="surprise"),
            lambda: root.update(payload=[]),
            lambda: root.pop("payload"),
            lambda: payload.pop("event"),
            lambda: payload.update(event="text"),
            lambda: payload.pop("subscription"),
            lambda: payload["subscription"].update(type=None),
            lambda: payload["subscription"].update(type="channel.follow"),
            lambda: event.pop("broadcaster_user_login"),
            lambda: event.update(broadcaster_user_login=7),
            lambda: event.update(broadcaster_user_id=False),
        ]
        if "chatter_user_login" in event:
            faults += [lambda: event.update(message_id=""), lambda: event.update(message="text"), lambda: event.update(color=1)]
            faults += [lambda: event["message"].update(text=[1]), lambda: event.update(badges={}), lambda: event.pop("badges")]
            faults += [lambda: event.update(badges=[None, {"set_id": 7}, {"set_id": "vip", "id": None}])]
            faults += [lambda: event["message"].update(fragments=[{"text": 5}, {"emote": "x"}, 7])]
        self.random.choice(faults)()
        frame = json.dumps(root, ensure_ascii=self.maybe(0.5)).encode()
        if self.maybe(0.15):
            frame = frame[: self.random.randrange(len(frame))].rstrip() or b"["
            return frame if is_json_error(frame) else b"{"
        return frame.replace(b"broadcaster", b"\xff", 1) if self.maybe(0.05) else frame

    def frames(self, count: int) -> list[bytes]:
        makers: list[Callable[[], Json]] = [self.chat] * 5 + [self.notice] * 3 + [self.moderation] * 2 + [self.control]
        found: list[bytes] = [b"[]", b"null", b"{}", b"7", b'""']
        while len(found) < count:
            chance = self.random.random()
            if chance < 0.04:
                found.append(self.random.choice(found[-20:]))
            elif chance < 0.14:
                found.append(self.wrong())
            else:
                frame = self.random.choice(makers)()
                found.append(json.dumps(frame, ensure_ascii=self.maybe(0.3), separators=(",", ":")).encode())
        return found


def hash_of(name: str) -> int:
    return uuid.uuid5(uuid.NAMESPACE_DNS, name).int % 10**8


def is_json_error(frame: bytes) -> bool:
    try:
        json.loads(frame.decode())
    except UnicodeDecodeError:
        return False
    except ValueError:
        return True
    return False


# ---- commands ----


def events_of(frames: list[bytes]) -> tuple[list[str], str]:
    oracle = Oracle()
    events = [event for event in map(oracle.event, frames) if event]
    return events, "".join(f"{name}\t{count}\n" for name, count in sorted(oracle.counts.items()))


def read_frames(path: str) -> list[bytes]:
    return pathlib.Path(path).read_bytes().removesuffix(b"\n").split(b"\n")


def files() -> dict[pathlib.Path, bytes]:
    frames = Corpus(1).frames(400)
    events, counts = events_of(frames)
    return {
        DATA / "eventsub.frames.jsonl": b"".join(frame + b"\n" for frame in frames),
        DATA / "eventsub.events.jsonl": "".join(event + "\n" for event in events).encode(),
        DATA / "eventsub.counts.tsv": counts.encode(),
    }


def compare(frames: str, events: str) -> int:
    expected = events_of(read_frames(frames))[0]
    lines = pathlib.Path(events).read_text("utf-8").splitlines()
    got = [re.sub(r'"id":"[0-9a-f]{32}"', '"id":"?"', line, count=1) for line in lines]
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
            events, counts = events_of(read_frames(path))
            sys.stdout.write("".join(event + "\n" for event in events))
            sys.stderr.write(counts)
        case ["corpus", seed, count]:
            sys.stdout.buffer.write(b"".join(frame + b"\n" for frame in Corpus(int(seed)).frames(int(count))))
        case ["write"]:
            DATA.mkdir(parents=True, exist_ok=True)
            for file, content in files().items():
                file.write_bytes(content)
        case ["check"]:
            wrong = [file for file, content in files().items() if not file.exists() or file.read_bytes() != content]
            print("\n".join(f"{file} differs" for file in wrong), end="\n" if wrong else "")
            return 1 if wrong else 0
        case ["compare", frames, events]:
            return compare(frames, events)
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
