"""A scripted Binance: WebSocket streams and the REST calls beside them, on the `websockets` library.

It speaks as the vendor's documentation says (combined streams on /stream, raw ones on /ws, SUBSCRIBE and its answer,
pings, the limit on client messages) and misbehaves only where its script says so. The nth connection runs the nth
session, a list of steps; a connection without a session, or at its session's end, stays open and silent.

    play     from, to (frame numbers) or order (a list of them: repeats, holes and disorder are a list's business);
             rate (frames a second, 0: as fast as they go); as: whole, fragments (of `size` characters),
             pieces (`size` bytes a TCP write). Frames of streams that the client did not ask for are left out.
    text, binary, raw   a message as it is; bytes behind the back of the WebSocket protocol (hex)
    huge     a text message of `bytes` bytes
    ping     payload; goes on when the pong is there
    pause    seconds; wait: until control releases `name`
    close    code, reason; drop: the TCP connection is reset
    refuse   (first step) HTTP status instead of an upgrade, with headers
    upgrade  (first step) fault: subprotocol (one nobody asked for), accept (a wrong key), silent (no answer at all)

Run alone: exchange.py --frames FILE [--script FILE] [--port N]; a script is {"sessions": [[step, …], …]}.
Control over HTTP, on the same port: /control/log, /control/release?name=N, /control/session?steps=JSON.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import socket
import ssl
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import parse_qs, urlsplit

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


from servers.binance_frames import Frame, read_recording
from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.datastructures import Headers
from websockets.exceptions import ConnectionClosed
from websockets.http11 import Request, Response

Step = dict[str, Any]
CLIENT_MESSAGES_A_SECOND = 5
QUOTE_ASSETS = ("USDT", "BUSD", "BTC", "ETH", "BNB", "EUR", "USD")


def exchange_info(frames: list[Frame]) -> dict[str, Any]:
    """The part of /api/v3/exchangeInfo that clients read, for the symbols that the frames are of."""
    symbols = []
    for name in sorted({frame.stream.partition("@")[0].upper() for frame in frames}):
        quote = next(asset for asset in QUOTE_ASSETS if name.endswith(asset))
        symbols.append(
            {
                "symbol": name,
                "status": "TRADING",
                "baseAsset": name.removesuffix(quote),
                "quoteAsset": quote,
                "filters": [{"filterType": "PRICE_FILTER", "tickSize": "0.00000001"}],
            }
        )
    return {"timezone": "UTC", "serverTime": int(time.time() * 1000), "symbols": symbols}


def past_trades(frames: list[Frame], symbol: str, from_id: int, limit: int) -> list[dict[str, Any]]:
    """/api/v3/aggTrades out of the frames, whether they were played or held back."""
    trades = (json.loads(frame.data) for frame in frames if frame.stream == f"{symbol.lower()}@aggTrade")
    wanted = sorted((trade for trade in trades if trade["a"] >= from_id), key=lambda trade: int(trade["a"]))
    return [{name: trade[name] for name in "apqflTmM"} for trade in wanted[:limit]]


def _json_response(value: Any, status: int = 200) -> Response:
    body = json.dumps(value).encode()
    headers = Headers({"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close"})
    return Response(status, "OK" if status == 200 else "Not Found", headers, body)


class Exchange:
    """Runs on a thread and loop of its own while the `with` block lasts; its methods are for other threads."""

    def __init__(
        self,
        frames: list[Frame],
        sessions: list[list[Step]] | None = None,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.frames = frames
        self.port = port
        self._tls = tls
        self.log: list[dict[str, Any]] = []
        self._sessions: list[list[Step]] = list(sessions or [])
        self._connections = 0
        self._released: set[str] = set()
        self._changed = threading.Condition()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: Server | None = None

    # ---- for tests ----

    @property
    def ws_url(self) -> str:
        return f"{'wss' if self._tls else 'ws'}://127.0.0.1:{self.port}"

    @property
    def rest_url(self) -> str:
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}"

    def __enter__(self) -> Exchange:
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

    def release(self, name: str) -> None:
        with self._changed:
            self._released.add(name)
            self._changed.notify_all()

    def logged(self, what: str) -> list[dict[str, Any]]:
        with self._changed:
            return [entry for entry in self.log if entry["what"] == what]

    def wait_for(self, what: str, count: int = 1, limit_s: float = 30) -> list[dict[str, Any]]:
        """Waits until the log has `count` entries of that name; connect, refused, play, text, pong, end, done."""

        def there() -> list[dict[str, Any]]:
            return [entry for entry in self.log if entry["what"] == what]

        with self._changed:
            if not self._changed.wait_for(lambda: len(there()) >= count, limit_s):
                raise TimeoutError(f"{what} came {len(there())} times of {count}; log: {self.log}")
            return there()

    # ---- on the loop ----

    def _note(self, what: str, **more: Any) -> None:
        with self._changed:
            self.log.append({"what": what, "at": time.monotonic(), **more})
            self._changed.notify_all()

    async def _start(self) -> None:
        self._server = await serve(
            self._serve_connection,
            "127.0.0.1",
            self.port,
            ssl=self._tls,
            process_request=self._on_request,
            process_response=self._on_response,
            compression=None,
            ping_interval=None,
            open_timeout=None,
            close_timeout=1,
        )
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        assert self._server is not None
        self._server.close()
        await self._server.wait_closed()
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()

    async def _on_request(self, connection: ServerConnection, request: Request) -> Response | None:
        url = urlsplit(request.path)
        query = {name: values[0] for name, values in parse_qs(url.query).items()}
        if url.path.startswith("/control/"):
            return self._control(url.path.removeprefix("/control/"), query)
        if url.path == "/api/v3/exchangeInfo":
            return _json_response(exchange_info(self.frames))
        if url.path == "/api/v3/aggTrades":
            self._note("rest", path=request.path)
            count = min(int(query.get("limit", 500)), 1000)
            return _json_response(past_trades(self.frames, query["symbol"], int(query.get("fromId", 0)), count))
        if not (url.path in ("/stream", "/ws") or url.path.startswith("/ws/")):
            return _json_response({"code": 404}, 404)
        return await self._begin(connection, request)

    def _control(self, call: str, query: dict[str, str]) -> Response:
        if call == "log":
            return _json_response(self.log)
        if call == "release":
            self.release(query["name"])
        elif call == "session":
            self.add_session(json.loads(query["steps"]))
        else:
            return _json_response({"error": f"no such control: {call}"}, 404)
        return _json_response({})

    async def _begin(self, connection: ServerConnection, request: Request) -> Response | None:
        """Gives the connection its number and session, and plays the faults that come before the upgrade."""
        number = self._connections
        self._connections += 1
        steps = self._sessions[number] if number < len(self._sessions) else []
        connection.session = Session(self, connection, number, list(steps), request.path)  # type: ignore[attr-defined]
        first: Step = steps[0] if steps else {"step": "none"}
        if first["step"] == "refuse":
            self._note("refused", number=number, path=request.path)
            headers = Headers({"Content-Length": "0", "Connection": "close", **first.get("headers", {})})
            return Response(first["status"], "Refused", headers, b"")
        if first.get("fault") == "silent":
            self._note("refused", number=number, path=request.path)
            await connection.connection_lost_waiter
        return None

    def _on_response(self, connection: ServerConnection, request: Request, response: Response) -> None:
        session: Session | None = getattr(connection, "session", None)
        fault = session.steps[0].get("fault") if session and session.steps else None
        if fault == "subprotocol":
            response.headers["Sec-WebSocket-Protocol"] = "nobody-asked-for-this"
        elif fault == "accept":
            del response.headers["Sec-WebSocket-Accept"]
            response.headers["Sec-WebSocket-Accept"] = "bm90IHRoZSByaWdodCBrZXkgYXQgYWxsIQ=="

    async def _serve_connection(self, connection: ServerConnection) -> None:
        session: Session = connection.session  # type: ignore[attr-defined]
        self._note("connect", number=session.number, path=session.path)
        try:
            await session.run()
        except ConnectionClosed:
            pass
        finally:
            self._note("end", number=session.number, code=connection.close_code)


class Session:
    """One connection: what it subscribed to, and the script it runs."""

    def __init__(self, exchange: Exchange, connection: ServerConnection, number: int, steps: list[Step], path: str) -> None:
        self.exchange, self.connection, self.number, self.steps, self.path = exchange, connection, number, steps, path
        self.recent: deque[float] = deque(maxlen=CLIENT_MESSAGES_A_SECOND + 1)
        url = urlsplit(path)
        self.combined = url.path == "/stream"
        listed = parse_qs(url.query).get("streams", [""])[0] if self.combined else url.path.removeprefix("/ws")
        self.streams = {name for name in listed.split("/") if name}
        self.subscribed = asyncio.Event()
        if self.streams:
            self.subscribed.set()

    async def run(self) -> None:
        reading = asyncio.create_task(self._read())
        try:
            for step in self.steps:
                kind = step["step"]
                await self._HANDLERS[kind](self, step)
                self.exchange._note(kind, number=self.number)
            self.exchange._note("done", number=self.number)
            await reading
        finally:
            reading.cancel()

    async def _read(self) -> None:
        async for message in self.connection:
            self.exchange._note("message", number=self.number, text=message)
            now = time.monotonic()
            self.recent.append(now)
            if len(self.recent) > CLIENT_MESSAGES_A_SECOND and now - self.recent[0] < 1:
                await self.connection.close(1008, "Too many requests")
                return
            await self.connection.send(json.dumps(self._answer(message), separators=(",", ":")))

    def _answer(self, message: str | bytes) -> dict[str, Any]:
        try:
            call = json.loads(message)
            method, number = call["method"], call["id"]
        except (ValueError, KeyError, TypeError):
            return {"error": {"code": 3, "msg": "Invalid JSON"}}
        if method == "SUBSCRIBE":
            self.streams.update(call["params"])
            self.subscribed.set()
        elif method == "UNSUBSCRIBE":
            self.streams.difference_update(call["params"])
        elif method == "LIST_SUBSCRIPTIONS":
            return {"result": sorted(self.streams), "id": number}
        else:
            return {"error": {"code": 2, "msg": f"Invalid request: unknown method {method}"}, "id": number}
        return {"result": None, "id": number}

    # ---- steps ----

    async def _play(self, step: Step) -> None:
        await self.subscribed.wait()
        frames = self.exchange.frames
        order = step.get("order") or range(step.get("from", 0), step.get("to", len(frames)))
        interval_s = 1 / step["rate"] if step.get("rate") else 0
        for number in order:
            frame = frames[number]
            if frame.stream not in self.streams:
                continue
            await self._send(frame.combined if self.combined else frame.data, step)
            if interval_s:
                await asyncio.sleep(interval_s)

    async def _send(self, text: str, step: Step) -> None:
        size = step.get("size", 7)
        if step.get("as", "whole") == "whole":
            await self.connection.send(text)
        elif step["as"] == "fragments":
            await self.connection.send([text[at : at + size] for at in range(0, len(text), size)])
        else:
            self.connection.protocol.send_text(text.encode())
            data = b"".join(self.connection.protocol.data_to_send())
            for at in range(0, len(data), size):
                self.connection.transport.write(data[at : at + size])
                await asyncio.sleep(0)

    async def _text(self, step: Step) -> None:
        await self.connection.send(step["text"])

    async def _binary(self, step: Step) -> None:
        await self.connection.send(bytes.fromhex(step["hex"]))

    async def _raw(self, step: Step) -> None:
        self.connection.transport.write(bytes.fromhex(step["hex"]))

    async def _huge(self, step: Step) -> None:
        await self.connection.send("x" * step["bytes"])

    async def _ping(self, step: Step) -> None:
        await (await self.connection.ping(step.get("payload", "ping")))
        self.exchange._note("pong", number=self.number)

    async def _pause(self, step: Step) -> None:
        await asyncio.sleep(step["seconds"])

    async def _wait(self, step: Step) -> None:
        while step["name"] not in self.exchange._released:
            await asyncio.sleep(0.005)

    async def _close(self, step: Step) -> None:
        await self.connection.close(step.get("code", 1000), step.get("reason", ""))

    async def _drop(self, step: Step) -> None:
        peer: socket.socket = self.connection.transport.get_extra_info("socket")
        peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.connection.transport.abort()

    async def _nothing(self, step: Step) -> None:
        pass

    _HANDLERS: dict[str, Callable[..., Any]] = {  # noqa: RUF012
        "play": _play,
        "text": _text,
        "binary": _binary,
        "raw": _raw,
        "huge": _huge,
        "ping": _ping,
        "pause": _pause,
        "wait": _wait,
        "close": _close,
        "drop": _drop,
        "upgrade": _nothing,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description="Scripted exchange server for tests, on loopback.")
    parser.add_argument("--frames", type=Path, required=True, help="recording to play")
    parser.add_argument("--script", type=Path, help='{"sessions": [[step, …], …]}; left out: plays all frames once')
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    sessions = json.loads(options.script.read_text())["sessions"] if options.script else [[{"step": "play"}]]
    with Exchange(read_recording(options.frames), sessions, options.port) as exchange:
        print(exchange.ws_url, flush=True)
        with contextlib.suppress(KeyboardInterrupt):
            threading.Event().wait()


if __name__ == "__main__":
    main()
