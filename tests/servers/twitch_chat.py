"""What happens in a Twitch chat, once, as both of Twitch's interfaces tell it: a line of IRC with its tags, and EventSub
notifications. Both carry the same message ids and times.

Lines and events have the tags and fields of dev.twitch.tv/docs/chat/irc and /docs/eventsub, in the vendor's order, with
those that are not documented but always there (first-msg, flags, returning-chatter).
"""

from __future__ import annotations

import dataclasses
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

EPOCH_MS = 1_700_000_000_000
Event = dict[str, Any]


@dataclass(frozen=True)
class Person:
    """A viewer or a channel's owner; the channel is #login."""

    login: str
    id: str
    name: str = ""  # display name

    @property
    def shown(self) -> str:
        return self.name or self.login


@dataclass(frozen=True)
class Emote:
    id: str
    begin: int  # code points, both included
    end: int


@dataclass(frozen=True)
class Happening:
    room: Person
    time_ms: int
    line: str  # without its end
    id: str = ""  # of the chat message; empty: it has none
    notifications: tuple[tuple[str, Event], ...] = ()  # EventSub: subscription type and event


def person(login: str) -> Person:
    """Always the same one of that name."""
    return Person(login, str(10_000_000 + uuid.uuid5(uuid.NAMESPACE_DNS, login).int % 90_000_000), login.capitalize())


def message_id(room: Person, number: int) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"https://twitch.tv/{room.login}/{number}"))


def rfc3339(time_ms: int) -> str:
    """As EventSub says times: nanoseconds."""
    seconds, milliseconds = divmod(time_ms, 1000)
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%S.") + (
        f"{milliseconds:03d}000000Z"
    )


def escape(value: str) -> str:
    """A tag's value, https://ircv3.net/specs/extensions/message-tags.html#escaping-values."""
    for plain, escaped in (("\\", "\\\\"), (";", "\\:"), (" ", "\\s"), ("\r", "\\r"), ("\n", "\\n")):
        value = value.replace(plain, escaped)
    return value


def tags(values: Mapping[str, str | int | bool]) -> str:
    texts = {key: str(int(value)) if isinstance(value, bool) else str(value) for key, value in values.items()}
    return "@" + ";".join(f"{key}={escape(value)}" for key, value in texts.items())


# ---- parts that IRC and EventSub say differently ----


def _of(person: Person, prefix: str) -> Event:
    return {f"{prefix}user_id": person.id, f"{prefix}user_login": person.login, f"{prefix}user_name": person.shown}


def _badges_tag(badges: dict[str, str]) -> str:
    return ",".join(f"{name}/{version}" for name, version in badges.items())


def _badges_list(badges: dict[str, str], months: int) -> list[Event]:
    def info(name: str) -> str:
        return str(months) if months and name in ("subscriber", "founder") else ""

    return [{"set_id": name, "id": version, "info": info(name)} for name, version in badges.items()]


def _emotes_tag(emotes: Iterable[Emote]) -> str:
    ranges: dict[str, list[str]] = {}
    for emote in emotes:
        ranges.setdefault(emote.id, []).append(f"{emote.begin}-{emote.end}")
    return "/".join(f"{name}:{','.join(spans)}" for name, spans in ranges.items())


def _fragments(text: str, emotes: Iterable[Emote]) -> list[Event]:
    nothing: Event = {"cheermote": None, "emote": None, "mention": None}
    parts: list[Event] = []
    at = 0
    for emote in sorted(emotes, key=lambda one: one.begin):
        if emote.begin > at:
            parts.append({"type": "text", "text": text[at : emote.begin], **nothing})
        details = {"id": emote.id, "emote_set_id": "0", "owner_id": "0", "format": ["static"]}
        parts.append({"type": "emote", "text": text[emote.begin : emote.end + 1], **nothing, "emote": details})
        at = emote.end + 1
    if at < len(text) or not parts:
        parts.append({"type": "text", "text": text[at:], **nothing})
    return parts


@dataclass(frozen=True)
class Author:
    """Who wrote, and how the chat shows it."""

    user: Person
    badges: dict[str, str] = field(default_factory=dict)
    months: int = 0  # subscribed
    color: str = "#0D4200"

    @property
    def tags(self) -> dict[str, str | int | bool]:
        return {
            "badge-info": f"subscriber/{self.months}" if self.months else "",
            "badges": _badges_tag(self.badges),
            "color": self.color,
            "display-name": self.user.shown,
        }

    @property
    def fields(self) -> Event:
        return {
            **_of(self.user, "chatter_"),
            "color": self.color,
            "badges": _badges_list(self.badges, self.months),
        }


# ---- messages ----


def message(
    room: Person,
    author: Author,
    number: int,
    text: str,
    *,
    emotes: tuple[Emote, ...] = (),
    bits: int = 0,
    first: bool = False,
    reply_to: Happening | None = None,
    source: Happening | None = None,
) -> Happening:
    """PRIVMSG and channel.chat.message. source: this is a copy of it in a shared chat."""
    time_ms, ident, user = EPOCH_MS + number, message_id(room, number), author.user
    values = author.tags | {"emotes": _emotes_tag(emotes), "first-msg": first, "flags": "", "id": ident}
    values["mod"] = "moderator" in author.badges
    event: Event = {**_of(room, "broadcaster_"), **author.fields, "message_id": ident}
    event |= {"message": {"text": text, "fragments": _fragments(text, emotes)}, "message_type": "text"}
    event |= {"cheer": {"bits": bits} if bits else None, "reply": None}
    event |= {"channel_points_custom_reward_id": None, "channel_points_animation_id": None}
    event |= {"source_broadcaster_user_id": None, "source_broadcaster_user_login": None}
    event |= {"source_broadcaster_user_name": None, "source_message_id": None, "source_badges": None, "is_source_only": None}
    if bits:
        values["bits"] = bits
    if reply_to:
        ((_, parent),) = reply_to.notifications
        values |= {
            "reply-parent-display-name": parent["chatter_user_name"],
            "reply-parent-msg-body": parent["message"]["text"],
            "reply-parent-msg-id": reply_to.id,
            "reply-parent-user-id": parent["chatter_user_id"],
            "reply-parent-user-login": parent["chatter_user_login"],
            "reply-thread-parent-msg-id": reply_to.id,
            "reply-thread-parent-user-login": parent["chatter_user_login"],
        }
        names = {f"parent_user_{part}": parent[f"chatter_user_{part}"] for part in ("id", "login", "name")}
        thread = {f"thread_user_{part}": parent[f"chatter_user_{part}"] for part in ("id", "login", "name")}
        body = {"parent_message_id": reply_to.id, "parent_message_body": parent["message"]["text"]}
        event["reply"] = body | names | {"thread_message_id": reply_to.id} | thread
    values |= {"returning-chatter": False, "room-id": room.id}
    if source:
        badges = {"source-badge-info": "", "source-badges": _badges_tag(author.badges)}
        values |= badges | {"source-id": source.id, "source-only": False, "source-room-id": source.room.id}
        event |= _of(source.room, "source_broadcaster_") | {"source_message_id": source.id, "is_source_only": False}
        event["source_badges"] = _badges_list(author.badges, author.months)
    values |= {"subscriber": author.months > 0, "tmi-sent-ts": time_ms, "turbo": False, "user-id": user.id, "user-type": ""}
    line = f"{tags(values)} :{user.login}!{user.login}@{user.login}.tmi.twitch.tv PRIVMSG #{room.login} :{text}"
    return Happening(room, time_ms, line, ident, (("channel.chat.message", event),))


def messages(room: Person, first: int, count: int, people: int = 7) -> list[Happening]:
    """Plain ones, by a few people, all different."""
    authors = [Author(person(f"{room.login}_viewer{number}")) for number in range(people)]
    return [message(room, authors[number % people], number, f"message {number}") for number in range(first, first + count)]


# ---- USERNOTICE, channel.chat.notification ----

NOTICE_FIELDS = (
    "sub", "resub", "sub_gift", "community_sub_gift", "gift_paid_upgrade", "prime_paid_upgrade", "raid", "unraid",
    "pay_it_forward", "announcement", "bits_badge_tier", "charity_donation", "modiversary", "watch_streak",
    "shared_chat_sub", "shared_chat_resub", "shared_chat_sub_gift", "shared_chat_community_sub_gift",
    "shared_chat_gift_paid_upgrade", "shared_chat_prime_paid_upgrade", "shared_chat_raid", "shared_chat_pay_it_forward",
    "shared_chat_announcement", "shared_chat_modiversary",
)  # fmt: skip


@dataclass(frozen=True)
class Occasion:
    """One kind of USERNOTICE: its msg-id and parameters, and what EventSub calls it and its parameters."""

    msg_id: str
    params: dict[str, str | int]
    notice_type: str
    details: Event
    system: str  # the text that Twitch shows


def occasion(room: Person, author: Author, number: int, what: Occasion, text: str = "") -> Happening:
    time_ms, ident, user = EPOCH_MS + number, message_id(room, number), author.user
    values = author.tags | {"emotes": "", "flags": "", "id": ident, "login": user.login, "mod": False, "msg-id": what.msg_id}
    values |= {f"msg-param-{name}": value for name, value in what.params.items()}
    values |= {"room-id": room.id, "subscriber": author.months > 0, "system-msg": what.system, "tmi-sent-ts": time_ms}
    values |= {"user-id": user.id, "user-type": "", "vip": False}
    line = f"{tags(values)} :tmi.twitch.tv USERNOTICE #{room.login}" + (f" :{text}" if text else "")
    event: Event = {**_of(room, "broadcaster_"), **author.fields, "chatter_is_anonymous": False, "message_id": ident}
    event |= {"system_message": what.system, "message": {"text": text, "fragments": _fragments(text, ()) if text else []}}
    event |= {"notice_type": what.notice_type, **dict.fromkeys(NOTICE_FIELDS), what.notice_type: what.details}
    event |= {"source_broadcaster_user_id": None, "source_broadcaster_user_login": None}
    event |= {"source_broadcaster_user_name": None, "source_message_id": None, "source_badges": None, "is_source_only": None}
    return Happening(room, time_ms, line, ident, (("channel.chat.notification", event),))


def sub(name: str) -> Occasion:
    params: dict[str, str | int] = {
        "cumulative-months": 1, "months": 0, "multimonth-duration": 1, "multimonth-tenure": 0,
        "should-share-streak": 0, "sub-plan-name": "Channel Subscription", "sub-plan": 1000, "was-gifted": "false",
    }  # fmt: skip
    details = {"sub_tier": "1000", "is_prime": False, "duration_months": 1}
    return Occasion("sub", params, "sub", details, f"{name} subscribed at Tier 1.")


def resub(name: str, months: int = 6, streak: int = 2) -> Occasion:
    params: dict[str, str | int] = {
        "cumulative-months": months, "months": 0, "multimonth-duration": 1, "multimonth-tenure": 0,
        "should-share-streak": 1, "streak-months": streak, "sub-plan-name": "Prime", "sub-plan": "Prime", "was-gifted": "false",
    }  # fmt: skip
    details = {
        "cumulative_months": months, "duration_months": 1, "streak_months": streak, "sub_tier": "1000", "is_prime": True,
        "is_gift": False, "gifter_is_anonymous": None, "gifter_user_id": None, "gifter_user_name": None,
        "gifter_user_login": None,
    }  # fmt: skip
    return Occasion("resub", params, "resub", details, f"{name} subscribed with Prime. They've subscribed for {months} months!")


def subgift(name: str, to: Person, months: int = 1) -> Occasion:
    params: dict[str, str | int] = {
        "gift-months": 1, "months": months, "origin-id": "da 39 a3", "recipient-display-name": to.shown,
        "recipient-id": to.id, "recipient-user-name": to.login, "sender-count": 3,
        "sub-plan-name": "Channel Subscription", "sub-plan": 1000,
    }  # fmt: skip
    details = {
        "duration_months": 1, "cumulative_total": 3, "recipient_user_id": to.id, "recipient_user_name": to.shown,
        "recipient_user_login": to.login, "sub_tier": "1000", "community_gift_id": None,
    }  # fmt: skip
    return Occasion("subgift", params, "sub_gift", details, f"{name} gifted a Tier 1 sub to {to.shown}!")


def submysterygift(name: str, count: int = 5) -> Occasion:
    params: dict[str, str | int] = {"mass-gift-count": count, "origin-id": "da 39 a3", "sender-count": 10, "sub-plan": 1000}
    details = {"id": "1234", "total": count, "sub_tier": "1000", "cumulative_total": 10}
    return Occasion("submysterygift", params, "community_sub_gift", details, f"{name} is gifting {count} Tier 1 Subs!")


def raid(by: Person, viewers: int = 42) -> Occasion:
    image = "https://static-cdn.jtvnw.net/user-default-pictures/profile_image-70x70.png"
    params: dict[str, str | int] = {
        "displayName": by.shown, "login": by.login, "profileImageURL": image, "viewerCount": viewers,
    }  # fmt: skip
    details: Event = {"user_id": by.id, "user_name": by.shown, "user_login": by.login}
    details |= {"viewer_count": viewers, "profile_image_url": image}
    return Occasion("raid", params, "raid", details, f"{viewers} raiders from {by.shown} have joined!")


def unraid() -> Occasion:
    return Occasion("unraid", {}, "unraid", {}, "The raid has been canceled.")


def announcement(color: str = "PRIMARY") -> Occasion:
    return Occasion("announcement", {"color": color}, "announcement", {"color": color}, "")


def watch_streak(name: str, streams: int = 5) -> Occasion:
    params: dict[str, str | int] = {"category": "watch-streak", "copoReward": 450, "id": "5a", "value": streams}
    details = {"streak_count": streams, "channel_points_awarded": 450}
    system = f"{name} watched {streams} consecutive streams and sparked a watch streak!"
    return Occasion("viewermilestone", params, "watch_streak", details, system)


def occasions(room: Person, first: int) -> list[Happening]:
    """One of each kind, in a fixed order."""
    fan = Author(person("faithful"), {"subscriber": "6"}, 6)
    raider, lucky, name = person("raider"), person("lucky"), fan.user.shown
    kinds = [
        (fan, sub(name), ""),
        (fan, resub(name), "Great stream -- keep it up!"),
        (fan, subgift(name, lucky), ""),
        (fan, submysterygift(name), ""),
        (Author(raider), raid(raider), ""),
        (Author(room, {"broadcaster": "1"}), unraid(), ""),
        (Author(room, {"broadcaster": "1"}), announcement(), "Welcome, all of you"),
        (fan, watch_streak(name), "five in a row"),
    ]
    return [occasion(room, author, first + n, what, text) for n, (author, what, text) in enumerate(kinds)]


# ---- moderation ----


def delete(said: Happening, number: int) -> Happening:
    """CLEARMSG and channel.chat.message_delete of a message."""
    ((_, event),) = said.notifications
    time_ms, login = EPOCH_MS + number, event["chatter_user_login"]
    values = {"login": login, "room-id": "", "target-msg-id": said.id, "tmi-sent-ts": time_ms}
    line = f"{tags(values)} :tmi.twitch.tv CLEARMSG #{said.room.login} :{event['message']['text']}"
    target = {f"target_user_{part}": event[f"chatter_user_{part}"] for part in ("id", "login", "name")}
    told = {**_of(said.room, "broadcaster_"), **target, "message_id": said.id}
    return Happening(said.room, time_ms, line, "", (("channel.chat.message_delete", told),))


def banish(room: Person, user: Person, number: int, seconds: int | None = None) -> Happening:
    """CLEARCHAT of a user: a time-out of that many seconds, or a ban."""
    time_ms = EPOCH_MS + number
    values: dict[str, str | int | bool] = {} if seconds is None else {"ban-duration": seconds}
    values |= {"room-id": room.id, "target-user-id": user.id, "tmi-sent-ts": time_ms}
    line = f"{tags(values)} :tmi.twitch.tv CLEARCHAT #{room.login} :{user.login}"
    cleared = {**_of(room, "broadcaster_"), **_of(user, "target_")}
    ends_at = None if seconds is None else rfc3339(time_ms + 1000 * seconds)
    ban = {**_of(user, ""), **_of(room, "broadcaster_"), **_of(room, "moderator_"), "reason": "spam"}
    ban |= {"banned_at": rfc3339(time_ms), "ends_at": ends_at, "is_permanent": seconds is None}
    told = (("channel.chat.clear_user_messages", cleared), ("channel.ban", ban))
    return Happening(room, time_ms, line, "", told)


def clear(room: Person, number: int) -> Happening:
    """CLEARCHAT of all."""
    time_ms = EPOCH_MS + number
    line = f"{tags({'room-id': room.id, 'tmi-sent-ts': time_ms})} :tmi.twitch.tv CLEARCHAT #{room.login}"
    return Happening(room, time_ms, line, "", (("channel.chat.clear", _of(room, "broadcaster_")),))


# ---- what only IRC tells ----


def room_state(room: Person, number: int, **changes: int) -> Happening:
    """ROOMSTATE: all of it, or what changed (slow=10, emote_only=1, …)."""
    full: dict[str, str | int] = {"emote-only": 0, "followers-only": -1, "r9k": 0, "room-id": room.id, "slow": 0, "subs-only": 0}
    partial: dict[str, str | int] = {name.replace("_", "-"): value for name, value in changes.items()}
    line = f"{tags(partial | {'room-id': room.id} if changes else full)} :tmi.twitch.tv ROOMSTATE #{room.login}"
    return Happening(room, EPOCH_MS + number, line)


def notice(room: Person, number: int, msg_id: str, text: str) -> Happening:
    line = f"{tags({'msg-id': msg_id})} :tmi.twitch.tv NOTICE #{room.login} :{text}"
    return Happening(room, EPOCH_MS + number, line)


def whisper(room: Person, number: int, to: str) -> Happening:
    values = {"badges": "", "color": "#8A2BE2", "display-name": "Petsgomoo", "emotes": "", "message-id": str(number)}
    values |= {"thread-id": "12345678_87654321", "turbo": "0", "user-id": "87654321", "user-type": ""}
    line = f"{tags(values)} :petsgomoo!petsgomoo@petsgomoo.tmi.twitch.tv WHISPER {to} :hello"
    return Happening(room, EPOCH_MS + number, line)


def host_target(room: Person, number: int, to: str, viewers: int) -> Happening:
    return Happening(room, EPOCH_MS + number, f":tmi.twitch.tv HOSTTARGET #{room.login} :{to} {viewers}")


def with_line(happening: Happening, old: str, new: str) -> Happening:
    """The same with its line damaged."""
    assert old in happening.line, happening.line
    return dataclasses.replace(happening, line=happening.line.replace(old, new))
