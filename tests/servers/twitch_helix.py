"""A scripted Helix, Twitch's REST interface, with what EventSub needs of it (dev.twitch.tv/docs/api/reference,
/docs/authentication/validate-tokens): users, eventsub/subscriptions with their checks, oauth2/validate and oauth2/token.

Checks in Twitch's order: token (401), Client-Id of the same application (401), body and session (400), scopes and
condition (403), the same subscription (409), how many a connection may have (429).

It misbehaves only where `faults` say so, a list of: path (its end), times (1), and one of
    status, headers, body   an answer of that kind (429 with Ratelimit-Reset, 500, a body that is no JSON, …)
    delay_s                 the right answer, so much later
    drop                    the connection is closed without one
"""

from __future__ import annotations

import json
import ssl
import threading
import time
import uuid
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import parse_qs, urlsplit

from servers.scripted import ScriptLog
from servers.twitch_chat import Person, rfc3339
from servers.twitch_eventsub import TwitchEventSub, now_ms

CHAT_SCOPE, MODERATION_SCOPE = "user:read:chat", "channel:moderate"
CHAT_CONDITION, CHANNEL_CONDITION = ("broadcaster_user_id", "user_id"), ("broadcaster_user_id",)
SUBSCRIPTIONS_A_CONNECTION = 300


class Kind(NamedTuple):
    version: str
    scope: str
    condition: tuple[str, ...]


KINDS = {
    "channel.chat.message": Kind("1", CHAT_SCOPE, CHAT_CONDITION),
    "channel.chat.notification": Kind("1", CHAT_SCOPE, CHAT_CONDITION),
    "channel.chat.message_delete": Kind("1", CHAT_SCOPE, CHAT_CONDITION),
    "channel.chat.clear": Kind("1", CHAT_SCOPE, CHAT_CONDITION),
    "channel.chat.clear_user_messages": Kind("1", CHAT_SCOPE, CHAT_CONDITION),
    "channel.chat_settings.update": Kind("1", CHAT_SCOPE, CHAT_CONDITION),
    "channel.ban": Kind("1", MODERATION_SCOPE, CHANNEL_CONDITION),
    "channel.unban": Kind("1", MODERATION_SCOPE, CHANNEL_CONDITION),
}


@dataclass(frozen=True)
class Token:
    text: str
    user: Person
    scopes: tuple[str, ...] = (CHAT_SCOPE,)
    client_id: str = "wbmytr93xzw8zbg0p1izqyzzc5mbiz"
    expires_in: int = 5_184_000


class Answer(NamedTuple):
    status: int
    body: Any

    @classmethod
    def error(cls, status: int, message: str) -> Answer:
        names = {400: "Bad Request", 401: "Unauthorized", 403: "Forbidden", 404: "Not Found", 409: "Conflict",
                 429: "Too Many Requests"}  # fmt: skip
        return cls(status, {"error": names[status], "status": status, "message": message})


class Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.answer = Answer.error(status, message)


class TwitchHelix(ScriptLog):
    """Runs while the `with` block lasts. users: those that exist besides the tokens' own."""

    def __init__(
        self,
        eventsub: TwitchEventSub,
        tokens: list[Token],
        users: list[Person] | None = None,
        *,
        faults: list[dict[str, Any]] | None = None,
        subscriptions: int = SUBSCRIPTIONS_A_CONNECTION,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__()
        self.eventsub, self.subscriptions = eventsub, subscriptions
        self.tokens = {token.text: token for token in tokens}
        known = [*(users or []), *(token.user for token in tokens), *(one.room for one in eventsub.happenings)]
        self.users = {user.login: user for user in known}
        self.faults = [dict(fault) for fault in faults or []]
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        if tls:
            self._server.socket = tls.wrap_socket(self._server.socket, server_side=True)
        self._scheme = "https" if tls else "http"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)

    @property
    def url(self) -> str:
        """What stands in place of https://api.twitch.tv and https://id.twitch.tv: the vendor's paths are appended."""
        return f"{self._scheme}://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join(10)

    # ---- on the server's threads ----

    def take_fault(self, path: str) -> dict[str, Any] | None:
        with self._changed:
            for fault in self.faults:
                if path.endswith(fault["path"]) and fault.setdefault("times", 1) > 0:
                    fault["times"] -= 1
                    return fault
        return None

    def answer(self, method: str, target: str, headers: Any, body: bytes) -> Answer:
        url = urlsplit(target)
        path, query = url.path.removeprefix("/helix"), parse_qs(url.query)
        self.note("request", method=method, path=url.path, query=url.query, body=body.decode("utf-8", "replace"))
        calls = {
            ("GET", "/oauth2/validate"): self._validate,
            ("POST", "/oauth2/token"): self._application_token,
            ("GET", "/users"): self._users,
            ("GET", "/eventsub/subscriptions"): self._list,
            ("POST", "/eventsub/subscriptions"): self._subscribe,
            ("DELETE", "/eventsub/subscriptions"): self._unsubscribe,
        }
        call = calls.get((method, path))
        try:
            return call(query, headers, body) if call else Answer.error(404, "")
        except Refused as refused:
            self.note("refused", path=url.path, status=refused.answer.status)
            return refused.answer

    def _token(self, headers: Any, scheme: str) -> Token:
        kind, _, text = headers.get("Authorization", "").partition(" ")
        if kind not in (scheme, "Bearer") or text not in self.tokens:
            raise Refused(401, "Invalid OAuth token" if scheme == "Bearer" else "invalid access token")
        token = self.tokens[text]
        if scheme == "Bearer" and headers.get("Client-Id") != token.client_id:
            raise Refused(401, "Client ID and OAuth token do not match")
        return token

    def _validate(self, query: dict[str, list[str]], headers: Any, body: bytes) -> Answer:
        token = self._token(headers, "OAuth")
        who = {"client_id": token.client_id, "login": token.user.login, "scopes": list(token.scopes)}
        return Answer(200, who | {"user_id": token.user.id, "expires_in": token.expires_in})

    def _application_token(self, query: dict[str, list[str]], headers: Any, body: bytes) -> Answer:
        return Answer(200, {"access_token": "application", "expires_in": 5_011_271, "token_type": "bearer"})

    def _users(self, query: dict[str, list[str]], headers: Any, body: bytes) -> Answer:
        own = self._token(headers, "Bearer").user
        logins, idents = query.get("login", []), query.get("id", [])
        if len(logins) + len(idents) > 100:
            raise Refused(400, "The sum of the id and login parameters must not exceed 100")
        found = [self.users[login] for login in logins if login in self.users]
        found += [user for user in self.users.values() if user.id in idents]
        found = found if logins or idents else [own]
        return Answer(200, {"data": [self._user(user) for user in dict.fromkeys(found)]})

    @staticmethod
    def _user(user: Person) -> dict[str, Any]:
        return {"id": user.id, "login": user.login, "display_name": user.shown, "type": "", "broadcaster_type": "",
                "description": "", "profile_image_url": "", "offline_image_url": "", "view_count": 0,
                "created_at": "2016-12-14T20:32:28Z"}  # fmt: skip

    def _list(self, query: dict[str, list[str]], headers: Any, body: bytes) -> Answer:
        self._token(headers, "Bearer")
        return self._subscriptions(200, self.eventsub.all_subscriptions())

    def _unsubscribe(self, query: dict[str, list[str]], headers: Any, body: bytes) -> Answer:
        self._token(headers, "Bearer")
        if not self.eventsub.remove_subscription(query.get("id", [""])[0]):
            raise Refused(404, "subscription not found")
        return Answer(204, None)

    def _subscribe(self, query: dict[str, list[str]], headers: Any, body: bytes) -> Answer:
        token = self._token(headers, "Bearer")
        try:
            wanted = json.loads(body)
            kind, version, condition, transport = (wanted[name] for name in ("type", "version", "condition", "transport"))
        except (ValueError, KeyError, TypeError):
            raise Refused(400, "error validating json") from None
        session = self.eventsub.find_session(transport.get("session_id", ""))
        if transport.get("method") != "websocket":
            raise Refused(400, "The value specified in the 'method' field is not valid")
        if not session:
            raise Refused(400, "websocket transport session does not exist or has already disconnected")
        self._check(token, kind, version, condition)
        if len(session.subscriptions) >= self.subscriptions:
            raise Refused(429, "number of websocket subscriptions limit exceeded")
        subscription = {
            "id": str(uuid.uuid4()), "status": "enabled", "type": kind, "version": version, "condition": condition,
            "transport": transport | {"connected_at": session.connected_at}, "created_at": rfc3339(now_ms()), "cost": 0,
        }  # fmt: skip
        if not self.eventsub.add_subscription(session, subscription):
            raise Refused(409, "subscription already exists")
        return self._subscriptions(202, [subscription])

    def _check(self, token: Token, kind: str, version: str, condition: dict[str, str]) -> None:
        known = KINDS.get(kind)
        if not known or known.version != version:
            raise Refused(400, "The combination of values in the type and version fields is not valid")
        if set(condition) != set(known.condition) or not all(condition.values()):
            raise Refused(400, "invalid condition")
        if condition["broadcaster_user_id"] not in {user.id for user in self.users.values()}:
            raise Refused(400, "invalid broadcaster_user_id")
        # channel.ban and channel.unban are for the channel's own account.
        reader = condition.get("user_id", condition["broadcaster_user_id"])
        if known.scope not in token.scopes or reader != token.user.id:
            raise Refused(403, "subscription missing proper authorization")

    def _subscriptions(self, status: int, data: list[dict[str, Any]]) -> Answer:
        total = len(self.eventsub.all_subscriptions())
        return Answer(status, {"data": data, "total": total, "max_total_cost": 10, "total_cost": 0, "pagination": {}})


def _handler(helix: TwitchHelix) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            fault = helix.take_fault(urlsplit(self.path).path) or {}
            if fault.get("drop"):
                self.close_connection = True
                return
            time.sleep(fault.get("delay_s", 0))
            if "status" in fault:
                helix.note("fault", path=self.path, status=fault["status"])
                answer = Answer(fault["status"], fault.get("body", {"status": fault["status"], "message": "scripted"}))
            else:
                answer = helix.answer(self.command, self.path, self.headers, body)
            self._respond(answer, fault.get("headers", {}))

        def _respond(self, answer: Answer, headers: dict[str, str]) -> None:
            text = answer.body if isinstance(answer.body, str) else json.dumps(answer.body)
            payload = b"" if answer.body is None else text.encode()
            self.send_response(answer.status)
            limits = {"Ratelimit-Limit": "800", "Ratelimit-Remaining": "799", "Ratelimit-Reset": str(int(time.time()) + 1)}
            for name, value in ({"Content-Type": "application/json; charset=utf-8"} | limits | headers).items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        do_GET = do_POST = do_DELETE = _serve

        def log_message(self, format: str, *args: Any) -> None:
            """The log is helix's own."""

    return Handler
