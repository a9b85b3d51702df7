"""Binance frames for tests: read from recordings, or made exactly as the vendor's documentation shows them.

A frame is a stream name and the text of its `data`, byte for byte as the exchange sent it.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Frame:
    stream: str
    data: str

    @property
    def combined(self) -> str:
        return f'{{"stream":"{self.stream}","data":{self.data}}}'


def _frame_of(text: str) -> Frame | None:
    """A combined frame's parts; None for anything else (control answers, other feeds)."""
    if not text.startswith('{"stream":"'):
        return None
    stream = json.loads(text)["stream"]
    return Frame(stream, text[len('{"stream":"' + stream + '","data":') : -1])


def _texts(lines: Iterable[str]) -> Iterator[str]:
    """Frames' texts out of a recording: our own, cryptofeed's sample data, or bare frames."""
    for line in lines:
        text = line.rstrip("\n")
        if text.startswith('{"received"'):
            frame = json.loads(text).get("frame")
            if isinstance(frame, str):
                yield frame
        elif text[:1].isdigit():
            yield text.partition(": ")[2]
        elif text.startswith("{"):
            yield text


def read_recording(path: Path) -> list[Frame]:
    with path.open(encoding="utf-8") as lines:
        return [frame for frame in map(_frame_of, _texts(lines)) if frame]


def agg_trade(
    symbol: str,
    number: int,
    *,
    price: str = "100.00000000",
    quantity: str = "1.00000000",
    time_ms: int | None = None,
    buyer_is_maker: bool = False,
) -> Frame:
    """One @aggTrade frame that stands for one trade: a, f and l are all `number`."""
    at = 1_700_000_000_000 + number if time_ms is None else time_ms
    maker = "true" if buyer_is_maker else "false"
    data = (
        f'{{"e":"aggTrade","E":{at + 3},"s":"{symbol.upper()}","a":{number},"p":"{price}","q":"{quantity}",'
        f'"f":{number},"l":{number},"T":{at},"m":{maker},"M":true}}'
    )
    return Frame(f"{symbol.lower()}@aggTrade", data)


def agg_trades(symbol: str, first: int, count: int) -> list[Frame]:
    """Consecutive trades whose price, size and side all change, so that a mix-up shows."""
    return [
        agg_trade(
            symbol,
            number,
            price=f"{100 + number % 7}.{number % 100:02d}000000",
            quantity=f"0.{1 + number % 9}0000000",
            buyer_is_maker=number % 2 == 0,
        )
        for number in range(first, first + count)
    ]
