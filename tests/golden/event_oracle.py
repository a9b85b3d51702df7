#!/usr/bin/env python3
"""Expected results for the event room, worked out with Python's own datetime, decimal and json.

Writes tests/data/event/*.tsv, which the unit tests read; with --check compares them with what is there.
Written from the description of the event format (docs/event-format.md), not from the C code.
"""

from __future__ import annotations

import argparse
import datetime
import decimal
import json
import pathlib
import random
import re
import sys

HERE = pathlib.Path(__file__).resolve().parents[1] / "data" / "event"
EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
MICROSECOND = datetime.timedelta(microseconds=1)
RFC3339 = re.compile(
    r"(\d{4})-(\d{2})-(\d{2})[Tt](\d{2}):(\d{2}):(\d{2})(?:\.(\d{1,9}))?(?:([Zz])|([+-])(\d{2}):(\d{2}))", re.ASCII
)


# ---- time stamps ----


def parse_time(text: str) -> int | None:
    match = RFC3339.fullmatch(text)
    if not match:
        return None
    year, month, day, hour, minute, second = (int(match[i]) for i in range(1, 7))
    micros = int((match[7] or "").ljust(6, "0")[:6])
    leap = second == 60
    try:
        moment = datetime.datetime(year, month, day, hour, minute, 59 if leap else second, micros, datetime.UTC)
        us = (moment - EPOCH) // MICROSECOND + (1_000_000 if leap else 0)
        if not match[8]:
            offset = datetime.time(int(match[10]), int(match[11]))
            seconds = (offset.hour * 60 + offset.minute) * 60
            us -= seconds * 1_000_000 * (-1 if match[9] == "-" else 1)
    except ValueError:
        return None
    return us if 0 <= us <= 253402300799999999 else None


def format_time(us: int) -> str:
    return (EPOCH + us * MICROSECOND).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def timestamps(rng: random.Random) -> list[str]:
    texts = [
        "1970-01-01T00:00:00Z", "1969-12-31T23:59:59.999999Z", "1970-01-01T00:59:59+01:00", "1970-01-01T01:00:00+01:00",
        "9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999-00:01", "2026-11-23T22:20:06.123456Z",
        "2026-11-23t22:20:06.1z", "2026-11-23T22:20:06.123456789Z", "2026-11-23T22:20:06.1234567890Z",
        "2026-11-23T22:20:06.Z", "2026-11-23T22:20:06", "2026-11-23 22:20:06Z", "2026-11-23T24:00:00Z",
        "2026-11-23T22:60:00Z", "2016-12-31T23:59:60Z", "2016-12-31T23:59:61Z", "2026-02-29T00:00:00Z",
        "2024-02-29T00:00:00Z", "2100-02-29T00:00:00Z", "2000-02-29T12:00:00.5Z", "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z", "2026-01-00T00:00:00Z", "2026-04-31T00:00:00Z", "2026-04-30T00:00:00+23:59",
        "2026-04-30T00:00:00+24:00", "2026-04-30T00:00:00+05:60", "2026-04-30T00:00:00+0500", "2026-04-30T00:00:00-00:00",
        "0000-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "2026-1-1T00:00:00Z", "", "Z", "2026-11-23T22:20:06.12 456Z",
        "2026-11-23T22:20:06.123456ZZ", " 2026-11-23T22:20:06Z", "2026-11-23T22:20:06.123456", "+026-11-23T22:20:06.123456Z",
    ]  # fmt: skip
    for _ in range(400):
        moment = format_time(rng.randrange(0, 253402300799999999))
        offset = rng.choice(["Z", "z", "+%02d:%02d" % (rng.randrange(26), rng.randrange(62)), "-%02d:30" % rng.randrange(24)])
        text = moment[: rng.choice([19, 21, 24, 26])] + rng.choice(["", "", "789"]) + offset
        if rng.random() < 0.15:
            place = rng.randrange(len(text))
            text = text[:place] + rng.choice("0123456789-:TZ.+ ") + text[place + 1 :]
        texts.append(text)
    rows = []
    for text in texts:
        us = parse_time(text)
        rows.append(f"{text}\t{'-' if us is None else us}\t{'-' if us is None else format_time(us)}")
    return rows


# ---- decimals ----


def random_decimal(rng: random.Random) -> str:
    digits = "".join(rng.choice("0001239") for _ in range(rng.randrange(1, 12))).lstrip("0") or "0"
    text = rng.choice(["", "", "", "-"]) + digits
    if rng.random() < 0.7:
        text += "." + "".join(rng.choice("0000159") for _ in range(rng.randrange(1, 12)))
    if rng.random() < 0.2:
        text += rng.choice("eE") + rng.choice(["", "+", "-"]) + str(rng.randrange(0, 330))
    return text


def decimals(rng: random.Random) -> list[str]:
    texts = ["0", "-0", "0.0", "0e5", "1.0", "1.00", "1e0", "10e-1", "0.1e1", "100", "1e2", "1E+2", "99.99", "1.999", "9.999",
             "10.00", "4.9e-324", "2.4703282292062327e-324", "2.4703282292062328e-324", "1.7976931348623157e308",
             "1.7976931348623159e308", "9007199254740993", "9007199254740992.99999999999999999999999999999999999",
             "0." + "0" * 330 + "1", "1" + "0" * 400, "1" * 900, "9007199254740993." + "0" * 800 + "1",
             "1.00000000000000011102230246251565404236316680908203124", "1.00000000000000011102230246251565404236316680908203125",
             "1.00000000000000011102230246251565404236316680908203126"]  # fmt: skip
    rows = []
    pairs = [(a, b) for a in texts for b in texts if len(a) + len(b) < 100] + [(a, a) for a in texts]
    for _ in range(800):
        a = random_decimal(rng)
        b = random_decimal(rng) if rng.random() < 0.5 else a
        if rng.random() < 0.5:  # a near relative
            place = rng.randrange(len(b))
            if b[place].isdigit() and "e" not in b.lower() and not (place == 0 or b[place - 1] == "-"):
                b = b[:place] + rng.choice("0123456789") + b[place + 1 :]
        pairs.append((a, b))
    with decimal.localcontext() as context:
        context.prec, context.Emax, context.Emin = 5000, decimal.MAX_EMAX, decimal.MIN_EMIN
        for a, b in pairs:
            x, y = decimal.Decimal(a), decimal.Decimal(b)
            rows.append(f"{a}\t{b}\t{(x > y) - (x < y)}\t{float(a).hex()}\t{int(x > 0)}")
    return rows


def numbers(rng: random.Random) -> list[str]:
    """text, and whether json takes it as a number."""
    texts = ["", "-", "01", "-01", "1.", ".5", "1.e5", "1e", "1e+", "+1", "0x10", "NaN", "Infinity", "1 ", " 1", "1_0", "--1",
             "1..2", "1e5.5", "00", "-0", "-0.0e-0", "1\u0660"]  # fmt: skip
    texts += ["".join(rng.choice("0012.eE+-") for _ in range(rng.randrange(1, 8))) for _ in range(600)]
    rows = []
    for text in texts:
        try:
            valid = (
                text == text.strip()
                and text[-1:].isascii()
                and text[:1] in "-0123456789"
                and type(json.loads(text)) in (int, float)
            )
        except ValueError:
            valid = False
        rows.append(f"{text}\t{int(valid)}")
    return rows


# ---- events ----


class Raw(str):
    """A number that keeps its digits."""


def write(value: object) -> str:
    """Compact JSON."""
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{write(k)}:{write(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(write(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def random_text(rng: random.Random, most: int = 30) -> str:
    alphabet = 'abc defghi XYZ 0123 "\\/\b\f\n\r\t\x01\x1f\x7f äöü ß 漢字 😀 \u200d ٣'
    length = rng.randrange(1, most)
    if rng.random() < 0.6:
        return "".join(rng.choice("abcdefghijk XYZ_-.,!?") for _ in range(length))
    return "".join(rng.choice(alphabet) for _ in range(length))


def random_value(rng: random.Random, depth: int = 2) -> object:
    kind = rng.randrange(7 if depth else 5)
    if kind == 5:
        return {f"k{i}": random_value(rng, depth - 1) for i in range(rng.randrange(4))}
    if kind == 6:
        return [random_value(rng, depth - 1) for _ in range(rng.randrange(4))]
    return [random_text(rng), Raw(random_decimal(rng)), True, False, None][kind]


def random_object(rng: random.Random) -> dict[str, object]:
    return {f"m{i}": random_value(rng) for i in range(rng.randrange(5))}


def maybe(rng: random.Random, payload: dict[str, object], name: str, value: object, chance: float = 0.7) -> None:
    if rng.random() < chance:
        payload[name] = value


def random_payload(rng: random.Random, source: str) -> dict[str, object]:
    gap = source != "analytics" and rng.random() < 0.15
    kinds = {
        "market": ["trade", "ticker", "candle", "quote", "heartbeat"],
        "twitch": [
            "message",
            "subscription",
            "raid",
            "announcement",
            "timeout",
            "ban",
            "clear",
            "delete",
            "notice",
            "room_state",
        ],
        "analytics": ["window", "anomaly", "alert"],
    }[source]
    payload: dict[str, object] = {"kind": "gap" if gap else rng.choice(kinds)}
    if source == "analytics":
        payload["query" if payload["kind"] == "window" else "key"] = random_text(rng)
        payload.update({f"column{i}": random_value(rng) for i in range(rng.randrange(4))})
        return payload
    if source == "market":
        payload.update(exchange=rng.choice(["binance", "coinbase"]), symbol=rng.choice(["BTC-USDT", "ETH-BTC"]))
    else:
        payload["channel"] = random_text(rng, 8)
    if gap:
        unknown = rng.random() < 0.3
        first = rng.randrange(10**9)
        payload["from"] = format_time(rng.randrange(1, 2 * 10**15))
        payload["to"] = format_time(rng.randrange(1, 2 * 10**15))
        payload["first_missing"] = None if unknown else Raw(first)
        payload["last_missing"] = None if unknown else Raw(first + 3)
        payload["count"] = None if unknown else Raw(4)
        payload["recovered"] = rng.random() < 0.5
        maybe(rng, payload, "reason", random_text(rng))
    elif source == "market":
        needed = 1.0 if payload["kind"] == "trade" else 0.5
        maybe(rng, payload, "price", Raw(random_decimal(rng)), needed)
        maybe(rng, payload, "volume", Raw(random_decimal(rng)), needed)
        maybe(rng, payload, "side", rng.choice(["buy", "sell"]))
        maybe(rng, payload, "direction", rng.choice(["up", "down", "flat"]))
        maybe(rng, payload, "trade_id", Raw(rng.choice([0, 1, rng.randrange(10**12), 2**63 - 1])))
    else:
        for name in ("username", "display_name", "user_id"):
            maybe(rng, payload, name, random_text(rng))
        maybe(rng, payload, "message", random_text(rng, 150))
    maybe(rng, payload, "metadata", random_object(rng), 0.5)
    if rng.random() < 0.15:
        payload["x_unknown"] = random_value(rng)
    return payload


def random_event(rng: random.Random) -> dict[str, object]:
    source = rng.choice(["market", "market", "twitch", "twitch", "analytics"])
    event: dict[str, object] = {"schema": Raw(1), "id": random_text(rng), "source": source}
    event["timestamp"] = format_time(rng.randrange(0, 253402300799999999))
    maybe(rng, event, "received", format_time(rng.randrange(0, 2 * 10**15)), 0.5)
    event["payload"] = random_payload(rng, source)
    if rng.random() < 0.3:
        maybe(rng, event, "toxicity", {"toxic": Raw("0.93"), "model": random_text(rng)})
        maybe(rng, event, "sentiment", Raw("-0.25"))
        maybe(rng, event, "anomaly", {"isAnomaly": False})
    return event


def events(rng: random.Random) -> list[str]:
    """input, then the canonical line.  One input in two is the canonical line itself, the others have the outer two levels
    shuffled (deeper ones keep their order) and everything spelt otherwise."""
    rows = []
    for _ in range(400):
        event = random_event(rng)
        line = write(event)
        if rng.random() < 0.5:
            rows.append(f"{line}\t{line}")
            continue
        top = list(event.items())
        rng.shuffle(top)
        shuffled = dict(top)
        if event["source"] != "analytics":
            assert isinstance(event["payload"], dict)
            inner = list(event["payload"].items())
            rng.shuffle(inner)
            shuffled["payload"] = dict(inner)
        shuffled["x_top"] = "dropped"
        text = json_respelt(shuffled, rng)
        assert "\n" not in text
        rows.append(f"{text}\t{line}")
    return rows


def json_respelt(value: object, rng: random.Random) -> str:
    """The same order, other white space (no tabs: they part the columns) and escapes."""
    space = rng.choice(["", "", " ", "  "])
    if isinstance(value, Raw):
        return str(value)
    if isinstance(value, dict):
        return (
            "{" + ",".join(f"{space}{json_respelt(k, rng)}:{space}{json_respelt(v, rng)}{space}" for k, v in value.items()) + "}"
        )
    if isinstance(value, list):
        return "[" + ",".join(f"{space}{json_respelt(v, rng)}" for v in value) + "]"
    if isinstance(value, str) and rng.random() < 0.4:
        return json.dumps(value, ensure_ascii=True).replace("/", "\\/")
    return json.dumps(value, ensure_ascii=False)


FILES = {"timestamps": timestamps, "decimals": decimals, "numbers": numbers, "events": events}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true", help="compare with the files instead of writing them")
    check = parser.parse_args().check
    wrong = 0
    for name, make in FILES.items():
        path = HERE / f"{name}.tsv"
        text = "\n".join(make(random.Random(name))) + "\n"
        if not check:
            path.write_text(text, encoding="utf-8")
        elif path.read_text(encoding="utf-8") != text:
            print(f"{path} is not what this script makes", file=sys.stderr)
            wrong = 1
    return wrong


if __name__ == "__main__":
    sys.exit(main())
