#!/usr/bin/env python3
"""Expected events for Binance frames: a second implementation, plain and slow, in Python.

Written from the descriptions of the exchange's streams and of the event format, not from the C code.

    binance_oracle.py events FRAMES           the events of a file of frames, and the counts on standard error
    binance_oracle.py write                   writes tests/data/binance/scenarios.* and the expectations of all frames there
    binance_oracle.py check                   compares with what is there
    binance_oracle.py compare FRAMES EVENTS   field by field against another program's events; exit 1 if they differ
"""

from __future__ import annotations

import collections
import datetime
import decimal
import json
import pathlib
import random
import re
import sys

DATA = pathlib.Path(__file__).resolve().parents[1] / "data" / "binance"
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
QUOTES = [
    "USDT",
    "USDC",
    "FDUSD",
    "TUSD",
    "BUSD",
    "USDP",
    "USDS",
    "RLUSD",
    "XUSD",
    "USD1",
    "USDE",
    "USD",
    "PAX",
    "UST",
    "VAI",
    "DAI",
    "EUR",
    "EURI",
    "GBP",
    "AUD",
    "TRY",
    "BRL",
    "RUB",
    "UAH",
    "NGN",
    "ZAR",
    "IDRT",
    "IDR",
    "BIDR",
    "BKRW",
    "BVND",
    "PLN",
    "RON",
    "ARS",
    "JPY",
    "MXN",
    "COP",
    "CZK",
    "GYEN",
    "BTC",
    "ETH",
    "BNB",
    "TRX",
    "XRP",
    "DOGE",
    "DOT",
    "SOL",
]
UNWANTED = {"depthUpdate", "24hrTicker", "24hrMiniTicker", "1hTicker", "4hTicker", "1dTicker", "avgPrice"}
WANTED = {"aggTrade", "trade", "kline", "bookTicker", "serverShutdown"}
INTERVALS = ["1s", "1m", "3m", "5m", "15m", "30m", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "3d", "1w", "1M"]
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
RECEIVED = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z")


class Raw(str):
    """A number as it was written."""


class Rejected(Exception):
    """The name of the reason."""


def rfc3339(us: int) -> str:
    return (EPOCH + datetime.timedelta(microseconds=us)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def dump(value: object) -> str:
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(k)}:{dump(v)}" for k, v in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


# ---- reading one frame ----


def load(text: str) -> object:
    def constant(name: str) -> object:
        raise ValueError(name)

    try:
        return json.loads(text, parse_int=Raw, parse_float=Raw, parse_constant=constant)
    except (ValueError, RecursionError) as error:
        raise Rejected("malformed_json") from error


def field(record: dict[str, object], name: str) -> object:
    if name not in record:
        raise Rejected("missing_field")
    return record[name]


def number(record: dict[str, object], name: str, least: int = 0) -> int:
    value = field(record, name)
    if not isinstance(value, Raw):
        raise Rejected("wrong_type")
    if not re.fullmatch(r"-?[0-9]+", value) or not least <= int(value) < 2**63:
        raise Rejected("bad_number")
    return int(value)


def time(record: dict[str, object], name: str) -> int:
    try:
        value = number(record, name)
    except Rejected as reason:
        raise Rejected("bad_time" if str(reason) == "bad_number" else str(reason)) from reason
    us = value if value >= 10**14 else value * 1000
    if us > 253402300799999999:
        raise Rejected("bad_time")
    return us


def amount(record: dict[str, object], name: str, positive: bool) -> Raw:
    value = field(record, name)
    if not isinstance(value, str) or isinstance(value, Raw):
        raise Rejected("wrong_type")
    if len(value) > 64 or not NUMBER.fullmatch(value):
        raise Rejected("bad_number")
    exact = decimal.Decimal(value)
    if exact < 0 or (positive and exact == 0):
        raise Rejected("bad_number")
    return Raw(value)


def string(record: dict[str, object], name: str) -> str:
    value = field(record, name)
    if not isinstance(value, str) or isinstance(value, Raw):
        raise Rejected("wrong_type")
    return value


def boolean(record: dict[str, object], name: str) -> bool:
    value = field(record, name)
    if not isinstance(value, bool):
        raise Rejected("wrong_type")
    return value


def split_symbol(name: str) -> str:
    fits = sorted((q for q in QUOTES if name.endswith(q) and len(name) > len(q)), key=len)
    if not fits or not re.fullmatch(r"[A-Z0-9_.\u0080-\U0010ffff]+", name):
        raise Rejected("unknown_symbol")
    return name[: -len(fits[-1])] + "-" + fits[-1]


# ---- the stream ----


class Symbol:
    def __init__(self, name: str) -> None:
        self.name = name
        self.trade_kind = ""
        self.seen: set[int] = set()
        self.newest_us = 0
        self.newest_trade = 0
        self.price: decimal.Decimal | None = None
        self.quotes: collections.deque[int] = collections.deque(maxlen=16)
        self.candles: dict[str, tuple[int, int, bool]] = {}


class Binance:
    def __init__(self) -> None:
        self.symbols: dict[str, Symbol] = {}
        self.counts: collections.Counter[str] = collections.Counter()
        self.events: list[dict[str, object]] = []

    def symbol(self, name: str) -> Symbol:
        if name not in self.symbols:
            self.symbols[name] = Symbol(split_symbol(name))
        return self.symbols[name]

    def emit(self, kind: str, ident: str, symbol: Symbol, us: int, received: str | None, payload: dict[str, object]) -> None:
        event: dict[str, object] = {"schema": Raw(1), "id": f"binance:{symbol.name}:{ident}", "source": "market"}
        event["timestamp"] = rfc3339(us)
        if received:
            event["received"] = received
        event["payload"] = {"kind": kind, "exchange": "binance", "symbol": symbol.name, **payload}
        self.events.append(event)
        self.counts["events"] += 1

    def line(self, line: bytes) -> None:
        received: str | None = None
        self.counts["frames"] += 1
        try:
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise Rejected("invalid_utf8") from error
            outer = load(text)
            if isinstance(outer, dict) and "frame" in outer:
                received = outer.get("received")
                assert received is None or RECEIVED.fullmatch(received)
                outer = load(outer["frame"])
            self.frame(outer, received)
        except Rejected as reason:
            self.counts["rejected"] += 1
            self.counts[f"rejected_{reason}"] += 1

    def frame(self, record: object, received: str | None) -> None:
        if isinstance(record, dict) and "stream" in record:
            string(record, "stream")
            record = field(record, "data")
        if isinstance(record, list) and record:
            kind = record[0].get("e") if isinstance(record[0], dict) else None
            if kind in WANTED:
                raise Rejected("wrong_type")
            if kind not in UNWANTED:
                raise Rejected("unknown_kind")
            self.counts["filtered"] += 1
            return
        if not isinstance(record, dict):
            raise Rejected("wrong_type")
        if "e" in record:
            self.named(record, received)
        elif "error" in record or "msg" in record or ("result" in record and "id" in record) or "lastUpdateId" in record:
            self.counts["filtered"] += 1
        elif "u" in record:
            self.quote(record, received)
        else:
            raise Rejected("unknown_kind")

    def named(self, record: dict[str, object], received: str | None) -> None:
        kind = string(record, "e")
        if kind in UNWANTED or kind == "serverShutdown":
            self.counts["filtered"] += 1
        elif kind in ("aggTrade", "trade"):
            self.trade(record, kind, received)
        elif kind == "kline":
            self.candle(record, received)
        else:
            raise Rejected("unknown_kind")

    def trade(self, record: dict[str, object], kind: str, received: str | None) -> None:
        agg = kind == "aggTrade"
        event_us, name, ident = time(record, "E"), string(record, "s"), number(record, "a" if agg else "t")
        price, volume = amount(record, "p", True), amount(record, "q", False)
        first, last = (number(record, "f"), number(record, "l")) if agg else (ident, ident)
        us, maker = time(record, "T"), boolean(record, "m")
        if first > last:
            raise Rejected("bad_number")
        symbol = self.symbol(name)
        if symbol.trade_kind not in ("", kind):
            self.counts["filtered"] += 1
            return
        if ident in symbol.seen:
            self.counts["duplicates"] += 1
            return
        symbol.trade_kind = kind
        newest = max(symbol.seen) if symbol.seen else None
        if newest is not None and ident > newest:
            if ident != newest + 1:
                self.gap(symbol, newest + 1, ident - 1, us, received, None)
            elif first > symbol.newest_trade + 1:
                self.gap(symbol, symbol.newest_trade + 1, first - 1, us, received, {"ids": "trade"})
        exact = decimal.Decimal(price)
        before = exact if symbol.price is None else symbol.price
        payload: dict[str, object] = {"price": price, "volume": volume, "side": "sell" if maker else "buy"}
        payload["direction"] = "up" if exact > before else "down" if exact < before else "flat"
        payload["trade_id"] = Raw(ident)
        metadata: dict[str, object] = {"first_trade_id": Raw(first), "last_trade_id": Raw(last)} if agg else {}
        payload["metadata"] = {**metadata, "event_time": rfc3339(event_us)}
        self.emit("trade", f"{'agg' if agg else 'trade'}:{ident}", symbol, us, received, payload)
        symbol.price = exact
        if newest is None or ident > newest:
            symbol.newest_us, symbol.newest_trade = us, last
        symbol.seen.add(ident)

    def gap(
        self, symbol: Symbol, first: int, last: int, us: int, received: str | None, metadata: dict[str, object] | None
    ) -> None:
        payload: dict[str, object] = {
            "from": rfc3339(min(us, symbol.newest_us)),
            "to": rfc3339(max(us, symbol.newest_us)),
            "first_missing": Raw(first),
            "last_missing": Raw(last),
            "count": Raw(last - first + 1),
            "recovered": False,
            "reason": "ids_skipped",
        }
        if metadata:
            payload["metadata"] = metadata
        self.emit("gap", f"gap:{first}-{last}", symbol, us, received, payload)
        self.counts["created"] += 1
        self.counts["gaps"] += 1
        self.counts["missing"] += last - first + 1

    def candle(self, record: dict[str, object], received: str | None) -> None:
        event_us, name, kline = time(record, "E"), string(record, "s"), field(record, "k")
        if not isinstance(kline, dict):
            raise Rejected("wrong_type")
        start, end, interval = time(kline, "t"), time(kline, "T"), string(kline, "i")
        if interval not in INTERVALS:
            raise Rejected("unknown_kind")
        first, last, trades = number(kline, "f", -1), number(kline, "L", -1), number(kline, "n")
        prices = {key: amount(kline, key, True) for key in "ochl"}
        volume, quote_volume, closed = amount(kline, "v", False), amount(kline, "q", False), boolean(kline, "x")
        symbol = self.symbol(name)
        if symbol.candles.get(interval) == (start, last, closed):
            self.counts["duplicates"] += 1
            return
        symbol.candles[interval] = (start, last, closed)
        metadata: dict[str, object] = {"interval": interval, "start": rfc3339(start), "end": rfc3339(end), "open": prices["o"]}
        metadata |= {"high": prices["h"], "low": prices["l"], "close": prices["c"], "trades": Raw(trades)}
        metadata |= {"quote_volume": quote_volume, "closed": closed, "first_trade_id": Raw(first), "last_trade_id": Raw(last)}
        ident = f"candle:{interval}:{start // 1000}:{last}"
        self.emit("candle", ident, symbol, event_us, received, {"price": prices["c"], "volume": volume, "metadata": metadata})

    def quote(self, record: dict[str, object], received: str | None) -> None:
        update, name = number(record, "u"), string(record, "s")
        metadata: dict[str, object] = {
            "bid": amount(record, "b", True),
            "bid_volume": amount(record, "B", False),
            "ask": amount(record, "a", True),
            "ask_volume": amount(record, "A", False),
            "update_id": Raw(update),
        }
        if received is None:
            raise Rejected("no_time")
        symbol = self.symbol(name)
        if update in symbol.quotes:
            self.counts["duplicates"] += 1
            return
        symbol.quotes.append(update)
        us = (datetime.datetime.fromisoformat(received) - EPOCH) // datetime.timedelta(microseconds=1)
        self.emit("quote", f"quote:{update}", symbol, us, received, {"metadata": metadata})


def run(frames: bytes) -> Binance:
    binance = Binance()
    for line in frames.split(b"\n"):
        if line:
            binance.line(line)
    return binance


# ---- scenarios ----


def agg(**changes: object) -> dict[str, object]:
    record: dict[str, object] = {"e": "aggTrade", "E": 1700000000010, "s": "BTCUSDT", "a": 100, "p": "37000.10000000"}
    record |= {"q": "0.50000000", "f": 200, "l": 201, "T": 1700000000000, "m": False, "M": True}
    return vary(record, changes)


def trade(**changes: object) -> dict[str, object]:
    record: dict[str, object] = {"e": "trade", "E": 1700000000010, "s": "ETHUSDT", "t": 500, "p": "2000.00", "q": "1.5"}
    record |= {"T": 1700000000001, "m": True, "M": True}
    return vary(record, changes)


def kline(**changes: object) -> dict[str, object]:
    inner: dict[str, object] = {"t": 1700000000000, "T": 1700000059999, "s": "BTCUSDT", "i": "1m", "f": 200, "L": 210}
    inner |= {
        "o": "1.0",
        "c": "1.10",
        "h": "1.2",
        "l": "0.9",
        "v": "100.0",
        "n": 11,
        "x": False,
        "q": "110.5",
        "V": "1",
        "Q": "2",
    }
    return {"e": "kline", "E": 1700000001000, "s": "BTCUSDT", "k": vary(inner, changes)}


def quote(**changes: object) -> dict[str, object]:
    record: dict[str, object] = {"u": 400900217, "s": "BNBUSDT", "b": "25.35190000", "B": "31.21000000"}
    record |= {"a": "25.36520000", "A": "40.66000000"}
    return vary(record, changes)


def vary(record: dict[str, object], changes: dict[str, object]) -> dict[str, object]:
    for name, value in changes.items():
        if value is ...:
            record.pop(name)
        else:
            record[name] = value
    return record


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def combined(record: object) -> str:
    return compact({"stream": "x@y", "data": record})


def received(frame: str, us: int = 1700000000500000) -> str:
    return compact({"received": rfc3339(us), "frame": frame})


def written_scenarios() -> list[str | bytes]:
    lines: list[str | bytes] = [
        '{"result":null,"id":1}',
        '{"code":2,"msg":"Invalid request"}',
        '{"error":{"code":-1121,"msg":"bad"},"id":3}',
        compact(agg()),
        combined(agg(a=101, f=202, l=202, p="37000.1")),
        received(combined(agg(a=102, f=203, l=207, p="37000.09"))),
        compact(agg(a=102, f=203, l=207)),  # again
        compact(agg(a=106, f=215, l=215, p="37001", T=1700000002000)),  # 103-105 missing
        compact(agg(a=104, f=210, l=211, p="37001.0")),  # one of them, late
        compact(agg(a=104, f=210, l=211)),
        compact(agg(a=107, f=220, l=221, p="3.7002e4")),  # trades 216-219 missing
        compact(agg(a=108, f=222, l=222, p="37002.00", T=1700000001000)),
        compact(agg(a=110, f=230, l=230, T=1600000000000)),
        compact(agg(a=3, f=5, l=6)),  # older than all
        compact(trade(s="BTCUSDT", t=222)),  # the other kind of trades
        compact(trade()),
        compact(trade(t=501, p="2000.000")),
        compact(trade(t=503, p="1999.9")),
        compact(trade(t=504, b=88, a=50, m=False)),
        compact(agg(s="ETHUSDT")),
        compact(trade(t=503)),
        compact(agg(s="SOLBTC", E=1700000000010123, T=1700000000000456)),  # microseconds
        compact(agg(s="币USDT", p="0.1")),
        compact(agg(s="1INCHUSD", p="0.1", q="0.00000000")),
        compact(agg(s="ADAEUR")),
        compact(kline()),
        combined(kline()),
        compact(kline(L=211, n=12)),
        compact(kline(L=211, n=12, x=True)),
        compact(kline(i="5m")),
        compact(kline(f=-1, L=-1, n=0, t=1700000060000)),
        received(compact(kline(t=1700000120000))),
        received(combined(quote())),
        received(compact(quote())),
        received(compact(quote(u=400900218)), 1700000000600001),
        compact(quote(u=1)),
        received(compact(quote(u=400900217))),
        received(compact(quote(u=7, b="0"))),
        combined({"e": "depthUpdate", "E": 1, "s": "BTCUSDT", "U": 1, "u": 2, "b": [], "a": []}),
        combined({"lastUpdateId": 160, "bids": [], "asks": []}),
        combined([{"e": "24hrMiniTicker", "s": "BTCUSDT"}]),
        '{"e":"serverShutdown","E":1770123456789}',
        combined({"e": "avgPrice"}),
        # refused
        "{",
        "[1",
        "nonsense",
        '{"e":"aggTrade"',
        "[]",
        "1",
        '"text"',
        "null",
        "{}",
        '{"e":1}',
        '{"e":"somethingNew","E":1}',
        '{"stream":1,"data":{}}',
        '{"stream":"a"}',
        combined([1, 2]),
        combined([{"e": "aggTrade"}]),
        combined([{"e": "x"}]),
        combined("x"),
        compact(kline(L=...)),
        '{"e":"kline","E":1700000001000,"s":"BTCUSDT"}',
        '{"e":"kline","E":1700000001000,"s":"BTCUSDT","k":[]}',
        compact(kline(i="7m")),
        compact(kline(L=-2)),
        compact(kline(x="no")),
        b'{"e":"trade\xff"}',
        b"\xff\xfe",
        compact(agg(a=120, s="BTCXYZ")),
        compact(agg(a=120, s="USDT")),
        compact(agg(a=120, s="BTC-USDT")),
        compact(agg(a=120, s="")),
        compact(agg(a=120, f=9, l=8)),
        compact(agg(a="120")),
        compact(agg(a=-1)),
        compact(agg(a=1.5)),
        compact(agg(a=2**63)),
        compact(agg(p=1.5)),
        compact(agg(q=None)),
        compact(agg(m=1)),
        compact(agg(m="true")),
        compact(agg(T="x")),
        compact(agg(T=-1)),
        compact(agg(T=1.5)),
        compact(agg(T=253402300800000000)),
        compact(agg(E=2**64)),
        compact(agg(s=5)),
        compact(agg(e="AggTrade")),
    ]
    for name in "EsapqflTm":
        lines.append(compact(agg(a=121, **({name: ...}))) if name != "a" else compact(agg(a=...)))
    for text in (
        "",
        "-1",
        "1.",
        ".5",
        "01",
        "1e",
        "0x1",
        "NaN",
        "Infinity",
        "1,5",
        "1 ",
        " 1",
        "+1",
        "0",
        "0.000",
        "-0",
        "9" * 65,
    ):
        lines.append(compact(agg(a=122, p=text)))
    for text in ("", "-0.1", "1.", "00", "abc", "1e400000x"):
        lines.append(compact(agg(a=122, q=text)))
    # still in step after all that: 110 was the last
    lines.append(compact(agg(a=111, f=231, l=231, p="9" * 60 + ".1", q="-0")))
    lines.append(compact(agg(a=112, f=232, l=232, p="9" * 60 + ".2", q="1E-7")))
    lines.append(
        '  {"M":true,"m":true,"T":1700000000000,"l":233,"f":233,"q":"1","p":"1.\\u0035","a":113,"s":"BTCUSDT",'
        '"E":1700000000000,"e":"\\u0061ggTrade","new":[{"x":1e5}]} '
    )
    return lines


def random_scenarios(rng: random.Random, count: int) -> list[str | bytes]:
    """Several symbols; ids that skip, come back and repeat; now and then another order of fields."""
    lines: list[str | bytes] = []
    state = {name: [rng.randrange(10**9), rng.randrange(10**9), 100.0] for name in ("AVAXUSDT", "LINKBTC", "NEARFDUSD", "XRPUSD")}
    sent: list[dict[str, object]] = []
    us = 1700000000000000
    for _ in range(count):
        us += rng.randrange(300000)
        name = rng.choice(list(state))
        ids = state[name]
        if sent and rng.random() < 0.1:
            record = rng.choice(sent)
        else:
            ids[0] += 1 if rng.random() < 0.9 else rng.randrange(2, 6)
            ids[1] += 1 if rng.random() < 0.95 else rng.randrange(2, 6)
            ids[2] *= rng.choice([1, 1.001, 0.999])
            first = int(ids[1])
            ids[1] += rng.choice([0, 0, 1, 4])
            price = f"{ids[2]:.{rng.choice([2, 2, 3, 8])}f}"
            record = agg(
                s=name,
                a=int(ids[0]),
                p=price,
                q=f"{rng.random() * 10:.3f}",
                f=first,
                l=int(ids[1]),
                T=us // 1000,
                E=us // 1000 + 3,
                m=rng.random() < 0.5,
            )
            sent.append(record)
        if rng.random() < 0.07:  # delayed: the next one of this symbol will look like a gap, and this one fills it later
            place = rng.randrange(len(lines) + 1)
            lines.insert(max(place, len(lines) - 5), compact(record))
            continue
        if rng.random() < 0.1:
            items = list(record.items())
            rng.shuffle(items)
            record = dict(items)
        frame = combined(record) if rng.random() < 0.5 else compact(record)
        lines.append(received(frame, us + 4000) if rng.random() < 0.5 else frame)
    return lines


def scenarios() -> bytes:
    lines = written_scenarios() + random_scenarios(random.Random("binance"), 400)
    return b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines)


# ---- commands ----


def expectations(binance: Binance) -> tuple[str, str]:
    events = "".join(dump(event) + "\n" for event in binance.events)
    counts = "".join(f"{name}\t{binance.counts[name]}\n" for name in sorted(binance.counts))
    return events, counts


def files() -> dict[pathlib.Path, bytes]:
    made = {DATA / "scenarios.frames.jsonl": scenarios()}
    for path in sorted({*DATA.glob("*.frames.jsonl"), *made}):
        frames = made.get(path) or path.read_bytes()
        events, counts = expectations(run(frames))
        stem = path.name.removesuffix(".frames.jsonl")
        made[DATA / f"{stem}.events.jsonl"] = events.encode()
        made[DATA / f"{stem}.counts.tsv"] = counts.encode()
    return made


def compare(frames: str, events: str) -> int:
    expected = [
        json.loads(dump(event), parse_float=str, parse_int=str) for event in run(pathlib.Path(frames).read_bytes()).events
    ]
    lines = pathlib.Path(events).read_text(encoding="utf-8").splitlines()
    got = [json.loads(line, parse_float=str, parse_int=str) for line in lines]
    for i, (want, have) in enumerate(zip(expected, got, strict=False)):
        if want != have:
            print(f"event {i + 1}:\n{want}\nexpected, but\n{have}", file=sys.stderr)
            return 1
    if len(expected) != len(got):
        print(f"{len(expected)} events expected, but {len(got)} there", file=sys.stderr)
        return 1
    return 0


def main(arguments: list[str]) -> int:
    match arguments:
        case ["events", frames]:
            events, counts = expectations(run(pathlib.Path(frames).read_bytes()))
            print(events, end="")
            print(counts, end="", file=sys.stderr)
            return 0
        case ["compare", frames, events]:
            return compare(frames, events)
        case ["write"]:
            for path, content in files().items():
                path.write_bytes(content)
            return 0
        case ["check"]:
            wrong = [path for path, content in files().items() if not path.exists() or path.read_bytes() != content]
            for path in wrong:
                print(f"{path} is not what this script makes", file=sys.stderr)
            return 1 if wrong else 0
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
