"""What the scripted WebSocket servers share: a thread and loop of their own, a log that tests wait on, and sessions.

The nth connection runs the nth session, a list of steps; a connection without a session, or at its session's end, stays
open and silent. A server adds its own steps (methods `step_NAME`) to these:

    text, binary, raw   a message as it is; bytes behind the back of the WebSocket protocol (hex)
    huge     a text message of `bytes` bytes
    ping     payload; goes on when the pong is there
    pause    seconds; wait: until `name` is released; release: that name
    stall    nothing is read any more, so nothing is answered, pings neither
    close    code, reason; drop: the TCP connection is reset
    refuse   (first step) HTTP status instead of an upgrade, with headers
    upgrade  (first step) fault: subprotocol (one nobody asked for), accept (a wrong key), silent (no answer at all)

What sends text takes `as`: whole, fragments (WebSocket frames of `size` characters), pieces (`size` bytes a TCP write).

Control over HTTP, on the same port: /control/log, /control/release?name=N, /control/session?steps=JSON.
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
import struct
import threading
import time
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response
from websockets.typing import Subprotocol

Step = dict[str, Any]


def json_response(value: Any, status: int = 200) -> Response:
    body = json.dumps(value).encode()
    headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"})
    return Response(status, "OK" if status == 200 else "Not Found", headers, body)


class ScriptLog:
    """What happened, in order, for tests to wait on; entries have `what`, `at` and more."""

    def __init__(self) -> None:
        self.log: list[dict[str, Any]] = []
        self._released: set[str] = set()
        self._changed = threading.Condition()

    def note(self, what: str, **more: Any) -> None:
        with self._changed:
            self.log.append({"what": what, "at": time.monotonic(), **more})
            self._changed.notify_all()

    def release(self, name: str) -> None:
        with self._changed:
            self._released.add(name)
            self._changed.notify_all()

    def is_released(self, name: str) -> bool:
        return name in self._released

    def logged(self, what: str) -> list[dict[str, Any]]:
        with self._changed:
            return [entry for entry in self.log if entry["what"] == what]

    def wait_for(self, what: str, count: int = 1, limit_s: float = 30) -> list[dict[str, Any]]:
        """Waits until the log has `count` entries of that name; connect, refused, message, pong, end, done, each step."""

        def there() -> list[dict[str, Any]]:
            return [entry for entry in self.log if entry["what"] == what]

        with self._changed:
            if not self._changed.wait_for(lambda: len(there()) >= count, limit_s):
                raise TimeoutError(f"{what} came {len(there())} times of {count}; log: {self.log}")
            return there()


class ScriptedServer(ScriptLog):
    """Runs while the `with` block lasts; its methods are for other threads."""

    session_type: type[ScriptedSession]

    def __init__(self, sessions: list[list[Step]] | None = None, port: int = 0, tls: ssl.SSLContext | None = None) -> None:
        super().__init__()
        self.port = port
        self._tls = tls
        self._sessions: list[list[Step]] = list(sessions or [])
        self._connections = 0
        self._peers: list[ServerConnection] = []
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: Server | None = None

    # ---- what a server may say otherwise ----

    def accepts(self, path: str) -> bool:
        """Whether WebSockets are served there."""
        return True

    def answer_http(self, path: str, query: dict[str, str], target: str) -> Response | None:
        """Of GET requests that want no upgrade; None: it is none of those."""
        return None

    def choose_subprotocol(self, offered: list[str]) -> str | None:
        return None

    # ---- for tests ----

    @property
    def ws_url(self) -> str:
        return f"{'wss' if self._tls else 'ws'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    def add_session(self, steps: list[Step]) -> None:
        """For the connection after those that have sessions already."""
        with self._changed:
            self._sessions.append(steps)
            self._changed.notify_all()

    # ---- on the loop ----

    async def _start(self) -> None:
        self._server = await serve(
            self._serve_connection,
            "127.0.0.1",
            self.port,
            ssl=self._tls,
            process_request=self._on_request,
            process_response=self._on_response,
            select_subprotocol=self._select_subprotocol,
            compression=None,
            ping_interval=None,
            open_timeout=None,
            close_timeout=1,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        closed = asyncio.create_task(self._server.wait_closed())
        if not (await asyncio.wait([closed], timeout=2))[0]:
            for peer in self._peers:  # a client that reads no more keeps nobody waiting
                peer.transport.abort()
            await closed
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    def _select_subprotocol(self, connection: ServerConnection, offered: Any) -> Subprotocol | None:
        chosen = self.choose_subprotocol(list(offered))
        return Subprotocol(chosen) if chosen else None

    async def _on_request(self, connection: ServerConnection, request: Request) -> Response | None:
        url = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path.startswith("/control/"):
            return self._control(url.path.removeprefix("/control/"), query)
        answer = self.answer_http(url.path, query, request.path)
        if answer:
            return answer
        if not self.accepts(url.path):
            return json_response({"code": 404}, 404)
        return await self._begin(connection, request)

    def _control(self, call: str, query: dict[str, str]) -> Response:
        if call == "log":
            return json_response(self.log)
        if call == "release":
            self.release(query["name"])
        elif call == "session":
            self.add_session(json.loads(query["steps"]))
        else:
            return json_response({"error": f"no such control: {call}"}, 404)
        return json_response({})

    async def _begin(self, connection: ServerConnection, request: Request) -> Response | None:
        """Gives the connection its number and session, and plays the faults that come before the upgrade."""
        number = self._connections
        self._connections += 1
        self._peers.append(connection)
        steps = self._sessions[number] if number < len(self._sessions) else []
        session = self.session_type(self, connection, number, list(steps), request.path)
        connection.session = session  # type: ignore[attr-defined]
        first: Step = steps[0] if steps else {"step": "none"}
        if first["step"] == "refuse":
            self.note("refused", number=number, path=request.path)
            headers = Headers({"Content-Length": "0", "Connection": "close", **first.get("headers", {})})
            return Response(first["status"], "Refused", headers, b"")
        if first.get("fault") == "silent":
            self.note("refused", number=number, path=request.path)
            await connection.connection_lost_waiter
        return None

    def _on_response(self, connection: ServerConnection, request: Request, response: Response) -> None:
        session: ScriptedSession | None = getattr(connection, "session", None)
        fault = session.steps[0].get("fault") if session and session.steps else None
        if fault == "subprotocol":
            response.headers["Sec-WebSocket-Protocol"] = "nobody-asked-for-this"
        elif fault == "accept":
            del response.headers["Sec-WebSocket-Accept"]
            response.headers["Sec-WebSocket-Accept"] = "bm90IHRoZSByaWdodCBrZXkgYXQgYWxsIQ=="

    async def _serve_connection(self, connection: ServerConnection) -> None:
        session: ScriptedSession = connection.session  # type: ignore[attr-defined]
        self.note("connect", number=session.number, path=session.path)
        try:
            await session.run()
        except ConnectionClosed:
            pass
        finally:
            session.ended()
            self.note("end", number=session.number, code=connection.close_code)


class ScriptedSession:
    """One connection: the script it runs, and the answers it gives beside it."""

    def __init__(self, server: Any, connection: ServerConnection, number: int, steps: list[Step], path: str) -> None:
        self.server, self.connection, self.number, self.steps, self.path = server, connection, number, steps, path

    # ---- what a session may do otherwise ----

    async def opened(self) -> None:
        """Before the first step."""

    async def on_message(self, message: str | bytes) -> None:
        """The client said something."""

    def ended(self) -> None:
        """The connection is gone."""

    # ---- the script ----

    async def run(self) -> None:
        await self.opened()
        reading = asyncio.create_task(self._read())
        try:
            for step in self.steps:
                await getattr(self, "step_" + step["step"])(step)
                self.server.note(step["step"], number=self.number)
            self.server.note("done", number=self.number)
            await reading
        finally:
            reading.cancel()

    async def _read(self) -> None:
        async for message in self.connection:
            self.server.note("message", number=self.number, text=message)
            await self.on_message(message)

    async def send(self, text: str, step: Step) -> None:
        size = step.get("size", 7)
        if step.get("as", "whole") == "whole":
            await self.connection.send(text)
        elif step["as"] == "fragments":
            await self.connection.send([text[at : at + size] for at in range(0, len(text), size)])
        else:
            await self.send_unchecked(text.encode(), size)

    async def send_unchecked(self, payload: bytes, size: int = 0) -> None:
        """One text message of any bytes, UTF-8 or not, in TCP writes of `size` bytes (0: one)."""
        self.connection.protocol.send_text(payload)
        data = b"".join(self.connection.protocol.data_to_send())
        for at in range(0, len(data), size or len(data)):
            self.connection.transport.write(data[at : at + (size or len(data))])
            await asyncio.sleep(0)

    async def step_text(self, step: Step) -> None:
        await self.send(step["text"], step)

    async def step_binary(self, step: Step) -> None:
        await self.connection.send(bytes.fromhex(step["hex"]))

    async def step_raw(self, step: Step) -> None:
        self.connection.transport.write(bytes.fromhex(step["hex"]))

    async def step_huge(self, step: Step) -> None:
        await self.connection.send("x" * step["bytes"])

    async def step_ping(self, step: Step) -> None:
        await (await self.connection.ping(step.get("payload", "ping")))
        self.server.note("pong", number=self.number)

    async def step_pause(self, step: Step) -> None:
        await asyncio.sleep(step["seconds"])

    async def step_wait(self, step: Step) -> None:
        while not self.server.is_released(step["name"]):
            await asyncio.sleep(0.005)

    async def step_release(self, step: Step) -> None:
        self.server.release(step["name"])

    async def step_stall(self, step: Step) -> None:
        self.connection.transport.pause_reading()

    async def step_close(self, step: Step) -> None:
        await self.connection.close(step.get("code", 1000), step.get("reason", ""))

    async def step_drop(self, step: Step) -> None:
        peer: socket.socket = self.connection.transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.transport.abort()

    async def step_upgrade(self, step: Step) -> None:
        """Has happened."""
