"""A scripted Binance: WebSocket streams and the REST calls beside them, on the `websockets` library.

It speaks as the vendor's documentation says (combined streams on /stream, raw ones on /ws, SUBSCRIBE and its answer,
pings, the limit on client messages) and misbehaves only where its script says so (scripted.py has the steps), and:

    play     from, to (frame numbers) or order (a list of them: repeats, holes and disorder are a list's business);
             rate (frames a second, 0: as fast as they go). Frames of streams that the client did not ask for are left out.

Run alone: exchange.py --frames FILE [--script FILE] [--port N]; a script is {"sessions": [[step, …], …]}.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import ssl
import sys
import threading
import time
from collections import deque
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

if __package__ in (None, ""):
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))


from servers.binance_frames import Frame, read_recording
from servers.scripted import ScriptedServer, ScriptedSession, Step, json_response
from websockets.asyncio.server import ServerConnection
from websockets.http11 import Response

__all__ = ["Exchange", "Session", "Step"]

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


class Session(ScriptedSession):
    """One connection: what it subscribed to, and the script it runs."""

    def __init__(self, server: Any, connection: ServerConnection, number: int, steps: list[Step], path: str) -> None:
        super().__init__(server, connection, number, steps, path)
        self.recent: deque[float] = deque(maxlen=CLIENT_MESSAGES_A_SECOND + 1)
        url = urlsplit(path)
        self.combined = url.path == "/stream"
        listed = parse_qs(url.query).get("streams", [""])[0] if self.combined else url.path.removeprefix("/ws")
        self.streams = {name for name in listed.split("/") if name}
        self.subscribed = asyncio.Event()
        if self.streams:
            self.subscribed.set()

    async def on_message(self, message: str | bytes) -> None:
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

    async def step_play(self, step: Step) -> None:
        await self.subscribed.wait()
        frames = self.server.frames
        order = step.get("order") or range(step.get("from", 0), step.get("to", len(frames)))
        interval_s = 1 / step["rate"] if step.get("rate") else 0
        for number in order:
            frame = frames[number]
            if frame.stream not in self.streams:
                continue
            await self.send(frame.combined if self.combined else frame.data, step)
            if interval_s:
                await asyncio.sleep(interval_s)


class Exchange(ScriptedServer):
    """Runs while the `with` block lasts; its methods are for other threads."""

    session_type = Session

    def __init__(
        self,
        frames: list[Frame],
        sessions: list[list[Step]] | None = None,
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        super().__init__(sessions, port, tls)
        self.frames = frames

    @property
    def rest_url(self) -> str:
        return self.ws_url.replace("ws", "http", 1)

    def accepts(self, path: str) -> bool:
        return path in ("/stream", "/ws") or path.startswith("/ws/")

    def answer_http(self, path: str, query: dict[str, str], target: str) -> Response | None:
        if path == "/api/v3/exchangeInfo":
            return json_response(exchange_info(self.frames))
        if path == "/api/v3/aggTrades":
            self.note("rest", path=target)
            count = min(int(query.get("limit", 500)), 1000)
            return json_response(past_trades(self.frames, query["symbol"], int(query.get("fromId", 0)), count))
        return None


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
