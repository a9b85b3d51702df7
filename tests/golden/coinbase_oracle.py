#!/usr/bin/env python3
"""Expected events for Coinbase frames: a second implementation, plain and slow, in Python.

Written from the description of the exchange's feed and of the event format, not from the C code.

    coinbase_oracle.py excerpt RECORDING       frames of cryptofeed's sample data (COINBASE.ws.28.0.xz), without most books
    coinbase_oracle.py frames RECORDING        all its frames
    coinbase_oracle.py events FRAMES           the events of a file of frames, and the counts on standard error
    coinbase_oracle.py write                   writes tests/data/coinbase/scenarios.* and the expectations of all frames there
    coinbase_oracle.py check                   compares with what is there
    coinbase_oracle.py compare FRAMES EVENTS   field by field against another program's events; exit 1 if they differ
"""

from __future__ import annotations

import collections
import datetime
import decimal
import json
import lzma
import pathlib
import random
import re
import sys
from collections.abc import Iterator

DATA = pathlib.Path(__file__).resolve().parents[1] / "data" / "coinbase"
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
UNWANTED = {"subscriptions", "snapshot", "l2update", "status", "auction", "rfq_match", "error"}
UNWANTED |= {"received", "open", "done", "change", "activate"}
NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")
TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)")
PRODUCT = re.compile(r"[A-Z0-9_.\u0080-\U0010ffff]+-[A-Z0-9_.\u0080-\U0010ffff]+")
ORDER = re.compile(r"[0-9A-Za-z-]{1,64}")
FIGURES = {
    "best_bid": "bid",
    "best_bid_size": "bid_volume",
    "best_ask": "ask",
    "best_ask_size": "ask_volume",
    "open_24h": "open_24h",
    "high_24h": "high_24h",
    "low_24h": "low_24h",
    "volume_24h": "volume_24h",
    "volume_30d": "volume_30d",
}

Record = dict[str, object]


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


def load(text: str) -> object:
    def constant(name: str) -> object:
        raise ValueError(name)

    try:
        return json.loads(text, parse_int=Raw, parse_float=Raw, parse_constant=constant)
    except (ValueError, RecursionError) as error:
        raise Rejected("malformed_json") from error


# ---- fields ----


def string(record: Record, name: str) -> str:
    if name not in record:
        raise Rejected("missing_field")
    value = record[name]
    if not isinstance(value, str) or isinstance(value, Raw):
        raise Rejected("wrong_type")
    return value


def number(record: Record, name: str) -> int:
    if name not in record:
        raise Rejected("missing_field")
    value = record[name]
    if not isinstance(value, Raw):
        raise Rejected("wrong_type")
    if not re.fullmatch(r"-?[0-9]+", value) or not 0 <= int(value) < 2**63:
        raise Rejected("bad_number")
    return int(value)


def amount(record: Record, name: str, positive: bool = False) -> Raw:
    value = string(record, name)
    if len(value) > 64 or not NUMBER.fullmatch(value):
        raise Rejected("bad_number")
    exact = decimal.Decimal(value)
    if exact < 0 or (positive and exact == 0):
        raise Rejected("bad_number")
    return Raw(value)


def time(record: Record, name: str) -> int:
    found = TIME.fullmatch(string(record, name))
    if not found:
        raise Rejected("bad_time")
    try:
        whole = datetime.datetime(*(int(part) for part in found.groups()[:6]), tzinfo=datetime.UTC)  # type: ignore[misc,arg-type]
    except ValueError as error:
        raise Rejected("bad_time") from error
    us = (whole - EPOCH) // datetime.timedelta(microseconds=1) + int((found[7] or "0").ljust(9, "0")[:6])
    if found[8] != "Z":
        minutes = int(found[8][1:3]) * 60 + int(found[8][4:6])
        us -= (minutes if found[8][0] == "+" else -minutes) * 60_000_000
    if us < 0:
        raise Rejected("bad_time")
    return us


def side(record: Record, name: str) -> str:
    value = string(record, name)
    if value not in ("buy", "sell"):
        raise Rejected("unknown_kind")
    return value


def said(record: Record, name: str) -> bool:
    return record.get(name) is not None


# ---- the feed ----


class Product:
    def __init__(self, name: str) -> None:
        self.name = name
        self.seen: set[int] = set()
        self.told: set[int] = set()  # ids told to be missing
        self.floor: int | None = None  # ids up to here were before us
        self.announced = -1
        self.newest_us = 0
        self.price: decimal.Decimal | None = None
        self.tickers: collections.deque[int] = collections.deque(maxlen=16)
        self.heartbeats: collections.deque[tuple[int, int]] = collections.deque(maxlen=16)

    def accounted(self) -> int | None:
        """The greatest id of which all is known."""
        known = [*self.seen, *self.told, *([] if self.floor is None else [self.floor])]
        return max(known) if known else None


class Coinbase:
    def __init__(self) -> None:
        self.products: dict[str, Product] = {}
        self.counts: collections.Counter[str] = collections.Counter()
        self.events: list[Record] = []
        self.received: str | None = None

    def product(self, name: str) -> Product:
        if name not in self.products:
            if not PRODUCT.fullmatch(name) or len(name.encode()) > 64:
                raise Rejected("unknown_symbol")
            self.products[name] = Product(name)
        return self.products[name]

    def emit(self, kind: str, ident: str, product: Product, us: int, payload: Record) -> None:
        event: Record = {"schema": Raw(1), "id": f"coinbase:{product.name}:{ident}", "source": "market"}
        event["timestamp"] = rfc3339(us)
        if self.received:
            event["received"] = self.received
        event["payload"] = {"kind": kind, "exchange": "coinbase", "symbol": product.name, **payload}
        self.events.append(event)
        self.counts["events"] += 1

    def line(self, line: bytes) -> None:
        self.received = None
        self.counts["frames"] += 1
        try:
            try:
                text = line.decode("utf-8")
            except UnicodeDecodeError as error:
                raise Rejected("invalid_utf8") from error
            record = load(text)
            if isinstance(record, dict) and "frame" in record:
                self.received = record.get("received")
                record = load(record["frame"])
            self.frame(record)
        except Rejected as reason:
            self.counts["rejected"] += 1
            self.counts[f"rejected_{reason}"] += 1

    def frame(self, record: object) -> None:
        if not isinstance(record, dict):
            raise Rejected("wrong_type")
        kind = string(record, "type")
        if kind in ("match", "last_match"):
            self.match(record)
        elif kind == "ticker":
            self.ticker(record)
        elif kind == "heartbeat":
            self.heartbeat(record)
        elif kind in UNWANTED:
            for name in ("message", "reason") if kind == "error" else ():
                if said(record, name):
                    string(record, name)
            self.counts["filtered"] += 1
        else:
            raise Rejected("unknown_kind")

    def gap(self, product: Product, first: int, last: int, us: int, reason: str) -> None:
        payload: Record = {
            "from": rfc3339(min(us, product.newest_us)),
            "to": rfc3339(max(us, product.newest_us)),
            "first_missing": Raw(first),
            "last_missing": Raw(last),
            "count": Raw(last - first + 1),
            "recovered": False,
            "reason": reason,
        }
        self.emit("gap", f"gap:{first}-{last}", product, us, payload)
        product.told.add(last)
        self.counts["created"] += 1
        self.counts["gaps"] += 1
        self.counts["missing"] += last - first + 1

    def match(self, record: Record) -> None:
        ident, maker, volume = number(record, "trade_id"), side(record, "side"), amount(record, "size")
        price, name, sequence = amount(record, "price", True), string(record, "product_id"), number(record, "sequence")
        us = time(record, "time")
        metadata: Record = {"sequence": Raw(sequence), "maker_side": maker}
        for order in ("maker_order_id", "taker_order_id"):
            if said(record, order) and ORDER.fullmatch(string(record, order)):
                metadata[order] = record[order]
        product = self.product(name)
        if ident in product.seen:
            self.counts["duplicates"] += 1
            return
        accounted = product.accounted()
        if accounted is not None and ident > accounted + 1:
            self.gap(product, accounted + 1, ident - 1, us, "ids_skipped")
        exact = decimal.Decimal(price)
        before = exact if product.price is None else product.price
        payload: Record = {"price": price, "volume": volume, "side": "buy" if maker == "sell" else "sell"}
        payload["direction"] = "up" if exact > before else "down" if exact < before else "flat"
        payload |= {"trade_id": Raw(ident), "metadata": metadata}
        self.emit("trade", f"trade:{ident}", product, us, payload)
        product.price = exact
        if not product.seen or ident > max(product.seen):
            product.newest_us = us
        product.seen.add(ident)

    def ticker(self, record: Record) -> None:
        sequence, name = number(record, "sequence"), string(record, "product_id")
        payload: Record = {"price": amount(record, "price", True)}
        us = time(record, "time")
        trade = Raw(number(record, "trade_id")) if said(record, "trade_id") else None
        taker = side(record, "side") if said(record, "side") else None
        if said(record, "last_size"):
            payload["volume"] = amount(record, "last_size")
        if taker:
            payload["side"] = taker
        if trade is not None:
            payload["trade_id"] = trade
        figures = {ours: amount(record, theirs) for theirs, ours in FIGURES.items() if said(record, theirs)}
        payload["metadata"] = {"sequence": Raw(sequence), **figures}
        product = self.product(name)
        if sequence in product.tickers:
            self.counts["duplicates"] += 1
            return
        product.tickers.append(sequence)
        self.emit("ticker", f"ticker:{sequence}", product, us, payload)

    def heartbeat(self, record: Record) -> None:
        sequence, last = number(record, "sequence"), number(record, "last_trade_id")
        name, us = string(record, "product_id"), time(record, "time")
        product = self.product(name)
        if (sequence, us) in product.heartbeats:
            self.counts["duplicates"] += 1
            return
        product.heartbeats.append((sequence, us))
        accounted = product.accounted()
        if accounted is None:
            product.floor, product.newest_us = last, us
        elif product.announced > accounted:
            self.gap(product, accounted + 1, product.announced, us, "not_delivered")
        product.announced = max(product.announced, last)
        metadata: Record = {"sequence": Raw(sequence), "last_trade_id": Raw(last)}
        self.emit("heartbeat", f"heartbeat:{sequence}:{us}", product, us, {"metadata": metadata})


def run(frames: bytes) -> Coinbase:
    coinbase = Coinbase()
    for line in frames.split(b"\n"):
        if line:
            coinbase.line(line)
    return coinbase


# ---- scenarios ----


def compact(value: object) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)


def vary(record: Record, changes: Record) -> str:
    record |= changes
    return compact({name: value for name, value in record.items() if value is not ...})


def match(**changes: object) -> str:
    record: Record = {"type": "match", "trade_id": 10, "maker_order_id": "ac928c66-ca53-498f-9c13-a110027a60e8"}
    record |= {"taker_order_id": "132fb6ae-456b-4654-b4e0-d681ac05cea1", "side": "sell", "size": "5.23512"}
    record |= {"price": "400.23", "product_id": "BTC-USD", "sequence": 50, "time": "2014-11-07T08:19:27.028459Z"}
    return vary(record, changes)


def ticker(**changes: object) -> str:
    record: Record = {"type": "ticker", "sequence": 37475248783, "product_id": "ETH-USD", "price": "1285.22"}
    record |= {"open_24h": "1310.79", "volume_24h": "245532.79269678", "low_24h": "1280.52", "high_24h": "1313.8"}
    record |= {"volume_30d": "9788783.60117027", "best_bid": "1285.04", "best_bid_size": "0.46688654", "best_ask": "1285.27"}
    record |= {"best_ask_size": "1.56637040", "side": "buy", "time": "2022-10-19T23:28:22.061769Z", "trade_id": 370843401}
    record |= {"last_size": "11.4396987"}
    return vary(record, changes)


def heartbeat(**changes: object) -> str:
    record: Record = {"type": "heartbeat", "last_trade_id": 20, "product_id": "BTC-USD", "sequence": 90}
    record |= {"time": "2014-11-07T08:19:28.464459Z"}
    return vary(record, changes)


def received(frame: str, us: int = 1700000000500000) -> str:
    return compact({"received": rfc3339(us), "frame": frame})


def accepted_scenarios() -> list[str | bytes]:
    beat = [f"2014-11-07T08:19:{second}.464459Z" for second in range(28, 60)]
    return [
        '{"type":"subscriptions","channels":[{"name":"matches","product_ids":["BTC-USD"]}]}',
        match(type="last_match"),
        match(),  # again
        match(trade_id=11, price="400.230"),
        received(match(trade_id=12, price="400.24", side="buy")),
        match(trade_id=16, price="4e2"),  # 13-15 missing
        match(trade_id=14, price="400.0", time="2014-11-07T08:19:26.5Z"),  # one of them, late
        match(trade_id=14),
        match(trade_id=3),  # older than all
        match(trade_id=17, time="2014-11-07T09:19:29.1234567+01:00", maker_order_id=..., taker_order_id=None),
        match(trade_id=18, maker_order_id='x"y', taker_order_id=""),
        heartbeat(),  # 19 and 20 did not come yet
        match(trade_id=19),
        heartbeat(time=beat[1], last_trade_id=22, sequence=95),  # 20 did not: missing
        heartbeat(time=beat[1], last_trade_id=22, sequence=95),
        match(trade_id=20, time="2014-11-07T08:19:29Z"),  # late
        match(trade_id=21, time=beat[1]),
        match(trade_id=22, time=beat[1]),
        heartbeat(time=beat[2], last_trade_id=22, sequence=95),  # the same sequence: nothing happened
        heartbeat(time=beat[3], last_trade_id=25, sequence=99),
        match(trade_id=27, time=beat[3]),  # 23-26 missing, before the next heartbeat
        received(heartbeat(time=beat[4], last_trade_id=27, sequence=101)),
        heartbeat(time=beat[0], last_trade_id=20, sequence=91),  # late
        heartbeat(time=beat[5], last_trade_id=30, sequence=102),
        heartbeat(time=beat[6], last_trade_id=30, sequence=102),  # 28-30 missing
        match(trade_id=33, time=beat[6]),  # 31-32 only
        match(trade_id=29, time=beat[6]),
        heartbeat(product_id="QUIET-USD", time=beat[0]),  # trades begin behind 20
        heartbeat(product_id="QUIET-USD", time=beat[1], last_trade_id=21),
        match(product_id="QUIET-USD", trade_id=20, type="last_match"),
        heartbeat(product_id="QUIET-USD", time=beat[2], last_trade_id=21),  # 21 missing
        heartbeat(product_id="ZERO-USD", last_trade_id=0),
        match(product_id="ZERO-USD", trade_id=1),
        received(ticker()),
        ticker(),
        ticker(sequence=37475248784, best_bid_size=..., best_ask_size=None, price="1285.220"),
        ticker(sequence=37475248785, side=..., last_size=..., trade_id=..., volume_30d=..., best_bid="0"),
        ticker(sequence=1, product_id="币-USD", **dict.fromkeys(FIGURES, ...)),
        '{"type":"error","message":"Failed to subscribe","reason":"FOO-USD is not a valid product"}',
        '{"type":"error"}',
        '{"type":"l2update","product_id":"BTC-USD","changes":[["buy","1","2"]],"time":"x"}',
        '{"type":"snapshot"}',
        '{"type":"done","order_id":"x"}',
        match(trade_id=34, price="9" * 60 + ".1", size="0", time=beat[7]),
        match(trade_id=35, price="9" * 60 + ".2", size="1E-7", sequence=2**63 - 1, time=beat[7]),
        '  {"time":"2014-11-07T08:19:27\\u002e028459Z","sequence":51,"product_id":"BTC-USD","price":"1.\\u0035","size":"1",'
        '"side":"buy","new":[{"x":1e5}],"trade_id":36,"type":"\\u006datch"} ',
    ]


def refused_scenarios() -> list[str | bytes]:
    lines: list[str | bytes] = ["{", "[1", "nonsense", '{"type":"match"', "[]", "1", '"text"', "null", "{}", '{"type":1}']
    lines += [b'{"type":"match\xff"}', b"\xff\xfe", '{"type":"something_new"}', '{"type":"Match"}', '{"type":"error","reason":1}']
    lines += [match(product_id=name) for name in ("BTCUSD", "btc-USD", "-USD", "BTC-", "A-B-C", "", "BTC/USD", "A" * 62 + "-USD")]
    odd: tuple[object, ...] = (..., None, [], True)
    for name in ("trade_id", "side", "size", "price", "product_id", "sequence", "time"):
        lines += [match(**{"trade_id": 121, name: value}) for value in odd]
    for name in ("sequence", "last_trade_id", "product_id", "time"):
        lines += [heartbeat(**{name: value}) for value in odd]
    for name in ("sequence", "product_id", "price", "time"):
        lines += [ticker(**{name: value}) for value in odd]
    for name in ("trade_id", "side", "last_size", *FIGURES):
        lines.append(ticker(**{"sequence": 7, name: False}))
    lines += [match(trade_id=value) for value in ("120", -1, 1.5, 2**63)]
    lines += [match(trade_id=121, sequence=value) for value in ("1", -1, 2.5, 10**30)]
    lines += [match(trade_id=121, side=value) for value in ("", "Buy", "both")]
    lines += [match(trade_id=121, maker_order_id=7)]
    times = (
        "",
        "yesterday",
        "2014-11-07",
        "2014-13-07T08:19:27Z",
        "2014-02-30T08:19:27Z",
        "1969-12-31T23:59:59.9Z",
        "2014-11-07T08:19:27",
    )
    lines += [match(trade_id=121, time=value) for value in times]
    prices = ("", "-1", "1.", ".5", "01", "1e", "0x1", "NaN", "Infinity", "1,5", "1 ", " 1", "+1", "0", "0.000", "-0", "9" * 65)
    lines += [match(trade_id=122, price=value) for value in (*prices, 1.5)]
    lines += [match(trade_id=122, size=value) for value in ("", "-0.1", "1.", "00", "abc", "1e400000x", 3)]
    lines += [ticker(sequence=8, best_bid=value) for value in ("", "-1", "x")]
    return lines


def random_scenarios(rng: random.Random, count: int) -> list[str | bytes]:
    """Several products; ids that skip, come back and repeat; now and then another order of fields."""
    lines: list[str | bytes] = []
    ids = {name: rng.randrange(10**9) for name in ("AVAX-USD", "LINK-BTC", "NEAR-EUR", "XRP-GBP")}
    prices = dict.fromkeys(ids, 100.0)
    us, sequence = 1700000000000000, 10**10
    for _ in range(count):
        us += rng.randrange(300000)
        sequence += rng.randrange(1, 9)
        name, draw = rng.choice(list(ids)), rng.random()
        common: Record = {"product_id": name, "sequence": sequence, "time": rfc3339(us)}
        if lines and draw < 0.08:
            frame = str(rng.choice(lines[-20:]))
        elif draw < 0.3:
            ids[name] += rng.choice([0, 0, 0, 1])
            frame = heartbeat(**common, last_trade_id=ids[name])
        elif draw < 0.45:
            frame = ticker(**common, price=f"{prices[name]:.2f}", trade_id=ids[name])
        else:
            ids[name] += 1 if rng.random() < 0.9 else rng.randrange(2, 6)
            prices[name] *= rng.choice([1, 1.001, 0.999])
            price = f"{prices[name]:.{rng.choice([2, 2, 3, 8])}f}"
            frame = match(**common, trade_id=ids[name], price=price, size=f"{rng.random():.3f}", side=rng.choice(["buy", "sell"]))
        if rng.random() < 0.1 and not frame.startswith('{"received"'):
            items = list(json.loads(frame).items())
            rng.shuffle(items)
            frame = compact(dict(items))
        if rng.random() < 0.3 and not frame.startswith('{"received"'):
            frame = received(frame, us + 4000)
        place = len(lines) - rng.randrange(6) if rng.random() < 0.08 else len(lines)  # some come late
        lines.insert(max(place, 0), frame)
    return lines


def scenarios() -> bytes:
    lines = accepted_scenarios() + refused_scenarios()
    lines.append(match(trade_id=37, price="1.4"))  # still in step after all that
    lines += random_scenarios(random.Random("coinbase"), 400)
    return b"".join((line if isinstance(line, bytes) else line.encode()) + b"\n" for line in lines)


# ---- commands ----


def recorded_frames(path: str) -> Iterator[tuple[int, str]]:
    with lzma.open(path, "rt", encoding="utf-8") as recording:
        for row in recording:
            seconds, mark, frame = row.rstrip("\n").partition(": ")
            if mark and not seconds.startswith("wss:"):
                yield int(decimal.Decimal(seconds) * 1_000_000), frame


def print_frames(path: str, all_frames: bool) -> None:
    books = 0
    for us, frame in recorded_frames(path):
        if frame.startswith(('{"type":"l2update"', '{"type":"snapshot"')):
            books += 1
            if not all_frames and (books % 400 or len(frame) > 1000):
                continue
        print(received(frame, us))


def expectations(coinbase: Coinbase) -> tuple[str, str]:
    events = "".join(dump(event) + "\n" for event in coinbase.events)
    counts = "".join(f"{name}\t{coinbase.counts[name]}\n" for name in sorted(coinbase.counts))
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
        case ["excerpt" | "frames", recording]:
            print_frames(recording, arguments[0] == "frames")
            return 0
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
