"""The scripted exchange does what its script says, seen by the client side of the library it stands on."""

import asyncio
import json
import urllib.request
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from servers.binance_frames import Frame, agg_trades
from servers.exchange import Exchange, Step
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidStatus

FRAMES = agg_trades("btcusdt", 1, 10)
STREAM = "/stream?streams=btcusdt@aggTrade"


async def _receive(client: ClientConnection, count: int) -> list[str]:
    return [str(await asyncio.wait_for(client.recv(), 10)) for _ in range(count)]


def _session(steps: list[Step], path: str, use: Callable[[ClientConnection], Awaitable[Any]]) -> Any:
    async def go() -> Any:
        async with connect(exchange.ws_url + path) as client:
            return await use(client)

    with Exchange(FRAMES, [steps]) as exchange:
        return asyncio.run(go())


@pytest.mark.parametrize("how", ["whole", "fragments", "pieces"])
def test_frames_arrive_as_recorded_however_they_are_cut(how: str) -> None:
    got = _session([{"step": "play", "as": how, "size": 3}], STREAM, lambda client: _receive(client, 10))
    assert got == [frame.combined for frame in FRAMES]


def test_order_repeats_and_holes() -> None:
    order = [0, 2, 2, 1, 9]
    got = _session([{"step": "play", "order": order}], STREAM, lambda client: _receive(client, len(order)))
    assert got == [FRAMES[number].combined for number in order]


def test_raw_stream_and_subscribe() -> None:
    async def use(client: ClientConnection) -> list[str]:
        await client.send('{"method":"SUBSCRIBE","params":["btcusdt@aggTrade"],"id":7}')
        return await _receive(client, 11)

    answer, *frames = _session([{"step": "play"}], "/ws", use)
    assert json.loads(answer) == {"result": None, "id": 7}
    assert frames == [frame.data for frame in FRAMES]


def test_only_subscribed_streams() -> None:
    frames = [FRAMES[0], Frame("ethusdt@aggTrade", "{}"), FRAMES[1]]

    async def go() -> list[str]:
        async with connect(exchange.ws_url + STREAM) as client:
            return await _receive(client, 2)

    with Exchange(frames, [[{"step": "play"}]]) as exchange:
        assert asyncio.run(go()) == [FRAMES[0].combined, FRAMES[1].combined]


def test_ping_is_answered_and_noted() -> None:
    async def go() -> None:
        async with connect(exchange.ws_url + STREAM) as client:
            await _receive(client, 1)

    with Exchange(FRAMES, [[{"step": "ping", "payload": "abc"}, {"step": "play", "to": 1}]]) as exchange:
        asyncio.run(go())
        assert exchange.logged("pong")


def test_close_code_and_drop() -> None:
    async def use(client: ClientConnection) -> int | None:
        with pytest.raises(ConnectionClosed) as closed:
            await client.recv()
        return closed.value.rcvd.code if closed.value.rcvd else None

    assert _session([{"step": "close", "code": 1001}], STREAM, use) == 1001
    assert _session([{"step": "drop"}], STREAM, use) is None


def test_refused_and_faulty_upgrades() -> None:
    async def nothing(client: ClientConnection) -> None:
        raise AssertionError("must not open")

    with pytest.raises(InvalidStatus) as refused:
        _session([{"step": "refuse", "status": 503, "headers": {"Retry-After": "3"}}], STREAM, nothing)
    assert refused.value.response.status_code == 503
    for fault in ("subprotocol", "accept"):
        with pytest.raises(InvalidHandshake):
            _session([{"step": "upgrade", "fault": fault}], STREAM, nothing)


def test_too_many_client_messages_are_cut_off() -> None:
    async def use(client: ClientConnection) -> int | None:
        with pytest.raises(ConnectionClosed) as closed:
            for number in range(20):
                await client.send(json.dumps({"method": "LIST_SUBSCRIPTIONS", "id": number}))
            while True:
                await client.recv()
        return closed.value.rcvd.code if closed.value.rcvd else None

    assert _session([], STREAM, use) == 1008


def test_sessions_by_connection_and_release() -> None:
    async def go(count: int) -> list[str]:
        async with connect(exchange.ws_url + STREAM) as client:
            exchange.release("go")
            return await _receive(client, count)

    sessions: list[list[Step]] = [
        [{"step": "wait", "name": "go"}, {"step": "play", "to": 2}],
        [{"step": "play", "from": 5}],
    ]
    with Exchange(FRAMES, sessions) as exchange:
        assert asyncio.run(go(2)) == [frame.combined for frame in FRAMES[:2]]
        assert asyncio.run(go(5)) == [frame.combined for frame in FRAMES[5:]]
        assert len(exchange.wait_for("end", 2)) == 2


def test_rest() -> None:
    with Exchange(FRAMES) as exchange:

        def get(path: str) -> Any:
            with urllib.request.urlopen(exchange.rest_url + path) as response:
                return json.load(response)

        assert [symbol["symbol"] for symbol in get("/api/v3/exchangeInfo")["symbols"]] == ["BTCUSDT"]
        trades = get("/api/v3/aggTrades?symbol=BTCUSDT&fromId=4&limit=3")
        assert [trade["a"] for trade in trades] == [4, 5, 6]
        get("/control/release?name=x")
        assert [entry["what"] for entry in get("/control/log")] == ["rest"]
