"""A scripted Twitch EventSub over WebSocket, as dev.twitch.tv/docs/eventsub/handling-websocket-events says, on the
`websockets` library. Subscriptions are made through twitch_helix.py.

It welcomes, keeps alive, notifies of what was subscribed to, hands subscriptions over to a session opened by a reconnect
URL, and closes as Twitch does: 4001 on data from the client, 4003 without a subscription after 10 s, 4007 on a reconnect
URL that it did not give. It misbehaves only where its script says so. scripted.py has the steps, and:

    welcome  (first step) silent: no welcome; keepalive_s: what it promises; text: something else in its place; after: not
             before that name is released
    play     from, to (numbers of happenings) or order (a list of them); each waits until one of its types is subscribed
             to, and goes out once for each of those that are. rate: messages a second, 0: as fast as they go
    keepalive  one, now
    reconnect  session_reconnect with a URL of this server (url: another)
    revoke   type, status (authorization_revoked, user_removed, version_removed): the subscription ends
    subscribed  waits until the session has `count` subscriptions
    unknown  a message of a type nobody knows

A session lets `opened:N` go (as `wait` names it) when it, the Nth, is open, and `subscribed:N` with its first subscription.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import time
import uuid
from typing import Any
from urllib.parse import parse_qs, urlsplit

from servers.scripted import ScriptedServer, ScriptedSession, Step
from servers.twitch_chat import Happening, rfc3339
from websockets.asyncio.server import ServerConnection

Subscription = dict[str, Any]
KEEPALIVE_S = (10, 600)
UNUSED_AFTER_S = 10.0


def now_ms() -> int:
    return time.time_ns() // 1_000_000


class EventSubSession(ScriptedSession):
    server: TwitchEventSub

    def __init__(self, server: Any, connection: ServerConnection, number: int, steps: list[Step], path: str) -> None:
        super().__init__(server, connection, number, steps, path)
        self.query = {name: values[0] for name, values in parse_qs(urlsplit(path).query).items()}
        self.id = f"session-{number}-{uuid.uuid4().hex[:8]}"
        self.connected_at = rfc3339(now_ms())
        self.subscriptions: list[Subscription] = []
        self.last_sent = time.monotonic()
        self.tasks: list[asyncio.Task[None]] = []

    async def opened(self) -> None:
        welcome: Step = self.steps[0] if self.steps and self.steps[0]["step"] == "welcome" else {}
        asked = int(self.query.get("keepalive_timeout_seconds", KEEPALIVE_S[0]))
        keepalive_s = welcome.get("keepalive_s") or max(KEEPALIVE_S[0], min(asked, KEEPALIVE_S[1]))
        good = self.server.open_session(self)
        self.server.release(f"opened:{self.number}")
        if "after" in welcome:
            await self.step_wait({"name": welcome["after"]})
        if not good:
            await self.connection.close(4007, "invalid reconnect attempt")
        elif "text" in welcome:
            await self.connection.send(welcome["text"])
        elif not welcome.get("silent"):
            await self._say("session_welcome", {"session": self._session("connected", keepalive_s, None)})
            self.tasks.append(asyncio.create_task(self._keep_alive(self.server.keepalive_every_s or keepalive_s)))
            self.tasks.append(asyncio.create_task(self._end_unused()))

    def ended(self) -> None:
        self.server.close_session(self)
        for task in self.tasks:
            task.cancel()

    async def on_message(self, message: str | bytes) -> None:
        await self.connection.close(4001, "sent inbound traffic")

    async def _keep_alive(self, every_s: float) -> None:
        while True:
            left_s = self.last_sent + every_s - time.monotonic()
            if left_s <= 0:
                await self.step_keepalive({})
            else:
                await asyncio.sleep(left_s)

    async def _end_unused(self) -> None:
        await asyncio.sleep(self.server.unused_after_s)
        if not self.subscriptions:
            await self.connection.close(4003, "connection unused")

    # ---- messages ----

    def _session(self, status: str, keepalive_s: int | None, url: str | None) -> dict[str, Any]:
        return {"id": self.id, "status": status, "connected_at": self.connected_at,
                "keepalive_timeout_seconds": keepalive_s, "reconnect_url": url, "recovery_url": None}  # fmt: skip

    async def _say(
        self,
        kind: str,
        payload: dict[str, Any],
        subscription: Subscription | None = None,
        ident: str = "",
        time_ms: int | None = None,
        step: Step | None = None,
    ) -> None:
        metadata = {"message_id": ident or str(uuid.uuid4()), "message_type": kind}
        metadata["message_timestamp"] = rfc3339(now_ms() if time_ms is None else time_ms)
        if subscription:
            metadata |= {"subscription_type": subscription["type"], "subscription_version": subscription["version"]}
        self.last_sent = time.monotonic()
        text = json.dumps({"metadata": metadata, "payload": payload}, separators=(",", ":"), ensure_ascii=False)
        await self.send(text, step or {})

    async def _notify(self, happening: Happening, step: Step) -> None:
        wanted: list[tuple[Subscription, dict[str, Any]]] = []
        while not wanted:
            wanted = [
                (subscription, event)
                for kind, event in happening.notifications
                for subscription in list(self.subscriptions)
                if subscription["type"] == kind and subscription["condition"]["broadcaster_user_id"] == happening.room.id
            ]
            if not wanted:
                await asyncio.sleep(0.005)
        for subscription, event in wanted:
            # The same happening has the same message_id whenever it is sent: that is how clients know a repeat.
            ident = str(uuid.uuid5(uuid.NAMESPACE_OID, f"{subscription['type']} {happening.line}"))
            payload = {"subscription": subscription, "event": event}
            await self._say("notification", payload, subscription, ident, happening.time_ms, step)

    # ---- steps ----

    async def step_welcome(self, step: Step) -> None:
        """Has happened."""

    async def step_play(self, step: Step) -> None:
        order = step.get("order") or range(step.get("from", 0), step.get("to", len(self.server.happenings)))
        for number in order:
            if self.server.happenings[number].notifications:
                await self._notify(self.server.happenings[number], step)
            if step.get("rate"):
                await asyncio.sleep(1 / step["rate"])

    async def step_keepalive(self, step: Step) -> None:
        await self._say("session_keepalive", {})

    async def step_reconnect(self, step: Step) -> None:
        url = step.get("url") or self.server.reconnect_url(self)
        await self._say("session_reconnect", {"session": self._session("reconnecting", None, url)})

    async def step_revoke(self, step: Step) -> None:
        subscription = next(one for one in self.subscriptions if one["type"] == step["type"])
        self.subscriptions.remove(subscription)
        revoked = subscription | {"status": step.get("status", "authorization_revoked")}
        await self._say("revocation", {"subscription": revoked}, revoked)

    async def step_subscribed(self, step: Step) -> None:
        while len(self.subscriptions) < step["count"]:
            await asyncio.sleep(0.005)

    async def step_unknown(self, step: Step) -> None:
        await self._say("session_surprise", {"session": {"id": self.id}})


class TwitchEventSub(ScriptedServer):
    """Helix (twitch_helix.py) adds subscriptions to its sessions, from threads of its own."""

    session_type = EventSubSession

    def __init__(
        self,
        happenings: list[Happening],
        sessions: list[list[Step]] | None = None,
        *,
        keepalive_every_s: float = 0,
        unused_after_s: float = UNUSED_AFTER_S,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(sessions, port, tls)
        self.happenings = happenings
        self.keepalive_every_s, self.unused_after_s = keepalive_every_s, unused_after_s
        self._open: dict[str, EventSubSession] = {}
        self._handed_over: dict[str, list[Subscription]] = {}  # by what a reconnect URL carries

    def accepts(self, path: str) -> bool:
        return path == "/ws"

    @property
    def url(self) -> str:
        return self.ws_url + "/ws"

    def reconnect_url(self, session: EventSubSession) -> str:
        with self._changed:
            self._handed_over[session.id] = session.subscriptions
        return f"{self.url}?id={session.id}&challenge=c29tZSBiYXNlIDY0"

    def open_session(self, session: EventSubSession) -> bool:
        with self._changed:
            if "challenge" in session.query:
                inherited = self._handed_over.pop(session.query["id"], None)
                if inherited is None:
                    return False
                session.subscriptions = [one | {"transport": one["transport"] | {"session_id": session.id}} for one in inherited]
            self._open[session.id] = session
        return True

    def close_session(self, session: EventSubSession) -> None:
        with self._changed:
            self._open.pop(session.id, None)

    # ---- for Helix ----

    def find_session(self, session_id: str) -> EventSubSession | None:
        with self._changed:
            return self._open.get(session_id)

    def add_subscription(self, session: EventSubSession, subscription: Subscription) -> bool:
        """False: it has that one."""
        with self._changed:
            same = ("type", "version", "condition")
            if any(all(one[name] == subscription[name] for name in same) for one in session.subscriptions):
                return False
            session.subscriptions.append(subscription)
            self.note("subscription", number=session.number, type=subscription["type"], condition=subscription["condition"])
            self.release(f"subscribed:{session.number}")
            return True

    def all_subscriptions(self) -> list[Subscription]:
        with self._changed:
            return [one for session in self._open.values() for one in session.subscriptions]

    def remove_subscription(self, ident: str) -> bool:
        with self._changed:
            for session in self._open.values():
                for one in session.subscriptions:
                    if one["id"] == ident:
                        session.subscriptions.remove(one)
                        return True
        return False
