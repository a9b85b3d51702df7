"""Puts the byte stream of a real IRC server on WebSockets as Twitch does: lines with their CR LF, cut wherever they are.

InspIRCd's own WebSocket module cannot stand there: it speaks as ircv3.net/specs/extensions/websocket says, each message a
line without its end, which no stream of Twitch's is.
"""

from __future__ import annotations

import asyncio
import codecs
import contextlib
import ssl
import threading
from types import TracebackType
from typing import Self

from websockets.asyncio.server import Server, ServerConnection, serve
from websockets.exceptions import ConnectionClosed

READ_BYTES = 300  # so that lines are cut


class IrcGateway:
    """Runs while the `with` block lasts. tls: how the IRC server is to be reached; None: in plain text."""

    def __init__(self, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._target, self._tls = port, tls
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._server: Server | None = None
        self.port = 0
        self.passed = ""  # what the IRC server has said

    @property
    def url(self) -> str:
        return f"ws://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        asyncio.run_coroutine_threadsafe(self._stop(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    async def _start(self) -> None:
        self._server = await serve(self._serve, "127.0.0.1", 0, ping_interval=None, compression=None, close_timeout=1)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _stop(self) -> None:
        assert self._server
        self._server.close()
        await self._server.wait_closed()

    async def _serve(self, client: ServerConnection) -> None:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self._target, ssl=self._tls)
        except OSError:
            await client.close(1011, "the IRC server is not there")
            return
        down = asyncio.create_task(self._down(reader, client))
        with contextlib.suppress(ConnectionClosed, OSError):
            async for message in client:
                writer.write(message.encode() if isinstance(message, str) else message)
                await writer.drain()
        writer.close()
        await down

    async def _down(self, reader: asyncio.StreamReader, client: ServerConnection) -> None:
        decoder = codecs.getincrementaldecoder("utf-8")("replace")
        with contextlib.suppress(ConnectionClosed, OSError):
            while data := await reader.read(READ_BYTES):
                if text := decoder.decode(data):
                    self.passed += text
                    await client.send(text)
        await client.close(1001, "the IRC server has gone")
