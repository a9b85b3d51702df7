"""The scripted exchange is faithful: cryptofeed, an independent client, holds its usual Binance session with it.

cryptofeed reads exchangeInfo, opens the combined streams of its subscription, and must hand on every trade, quote and
candle that was played, with the digits and times of the frames.
"""

import asyncio
import json
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from servers.binance_frames import Frame, agg_trades
from servers.certificates import LoopbackCertificates
from servers.exchange import Exchange

pytestmark = pytest.mark.cryptofeed

TRADES = agg_trades("btcusdt", 1000, 500)
QUOTE = Frame(
    "btcusdt@bookTicker",
    '{"u":400900217,"s":"BTCUSDT","b":"25.35190000","B":"31.21000000","a":"25.36520000","A":"40.66000000"}',
)
CANDLE = Frame(
    "btcusdt@kline_1m",
    '{"e":"kline","E":1672515782136,"s":"BTCUSDT","k":{"t":1672515780000,"T":1672515839999,"s":"BTCUSDT","i":"1m",'
    '"f":100,"L":200,"o":"0.0010","c":"0.0020","h":"0.0025","l":"0.0015","v":"1000","n":100,"x":true,'
    '"q":"1.0000","V":"500","Q":"0.500","B":"123456"}}',
)


async def _hold_session(exchange: Exchange, count: int) -> list[tuple[str, Any]]:
    from cryptofeed import FeedHandler
    from cryptofeed.connection import RestEndpoint, Routes, WebsocketEndpoint
    from cryptofeed.defines import CANDLES, TICKER, TRADES
    from cryptofeed.exchanges import Binance

    class LocalBinance(Binance):  # type: ignore[misc,unused-ignore]
        websocket_endpoints = [WebsocketEndpoint(exchange.ws_url)]  # noqa: RUF012
        rest_endpoints = [RestEndpoint(exchange.rest_url, routes=Routes("/api/v3/exchangeInfo"))]  # noqa: RUF012

    got: list[tuple[str, Any]] = []
    complete = asyncio.Event()

    def keep(kind: str) -> Any:
        async def callback(record: Any, received: float) -> None:
            got.append((kind, record))
            if len(got) == count:
                complete.set()

        return callback

    callbacks = {TRADES: keep("trade"), TICKER: keep("quote"), CANDLES: keep("candle")}
    handler = FeedHandler(config={"uvloop": False, "log": {"disabled": True}})
    handler.add_feed(LocalBinance(symbols=["BTC-USDT"], channels=list(callbacks), callbacks=callbacks))
    handler.run(start_loop=False, install_signal_handlers=False)
    await asyncio.wait_for(complete.wait(), 30)
    await handler.stop_async(asyncio.get_running_loop())
    return got


def test_cryptofeed_receives_what_was_played(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    certificates = LoopbackCertificates(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates.authority))
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(certificates.authority))
    frames = [*TRADES, QUOTE, CANDLE]
    with Exchange(frames, [[{"step": "play"}, {"step": "ping"}]], tls=certificates.server) as exchange:
        got = asyncio.run(_hold_session(exchange, len(frames)))
        exchange.wait_for("pong")

    expected = [json.loads(frame.data) for frame in TRADES]
    trades = [record for kind, record in got if kind == "trade"]
    assert [trade.id for trade in trades] == [str(data["a"]) for data in expected]
    for trade, data in zip(trades, expected, strict=True):
        assert (trade.price, trade.amount) == (Decimal(data["p"]), Decimal(data["q"]))
        assert trade.side == ("sell" if data["m"] else "buy")
        assert trade.timestamp == data["T"] / 1000
        assert trade.symbol == "BTC-USDT"
    (quote,) = [record for kind, record in got if kind == "quote"]
    assert (quote.bid, quote.ask) == (Decimal("25.35190000"), Decimal("25.36520000"))
    (candle,) = [record for kind, record in got if kind == "candle"]
    assert (candle.open, candle.close, candle.trades) == (Decimal("0.0010"), Decimal("0.0020"), 100)
