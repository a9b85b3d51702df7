"""Live Binance sessions of the real program with the scripted exchange: every trade once, in order, with its digits;
what is missing is declared; what is bad is counted; what breaks is connected again."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from e2e.conftest import RunProgram
from e2e.program import Event, Instance, dataflow, environment, json_lines, program, wait_until
from servers.binance_frames import Frame, agg_trade, agg_trades
from servers.certificates import LoopbackCertificates
from servers.exchange import Exchange, Step
from websockets.asyncio.client import connect

BITCOIN = "binance:BTC-USDT"
PLAY: list[Step] = [{"step": "play"}]


def settings(exchange: Exchange) -> dict[str, str]:
    return {"DATAFLOW_BINANCE_WS_URL": exchange.ws_url, "DATAFLOW_BINANCE_REST_URL": exchange.rest_url}


def trades(events: list[Event]) -> list[int]:
    return [event["payload"]["trade_id"] for event in events if event["payload"]["kind"] == "trade"]


def gaps(events: list[Event]) -> list[tuple[int, int, int]]:
    found = [event["payload"] for event in events if event["payload"]["kind"] == "gap"]
    return [(gap["first_missing"], gap["last_missing"], gap["count"]) for gap in found]


@pytest.mark.parametrize("how", ["whole", "fragments", "pieces"])
def test_every_trade_once_in_order_with_its_digits(run_program: RunProgram, how: str) -> None:
    bitcoin, ether = agg_trades("btcusdt", 1000, 150), agg_trades("ethusdt", 7, 150)
    frames = [frame for pair in zip(bitcoin, ether, strict=True) for frame in pair]
    with Exchange(frames, [[{"step": "play", "as": how, "size": 11}]]) as exchange:
        instance = run_program("--source", "binance:BTC-USDT,ETH-USDT", env=settings(exchange))
        instance.wait_events(len(frames))
        lines = dataflow("tail", "market_stream", "--data", instance.data, cwd=instance.directory).stdout.splitlines()
        assert len(lines) == len(frames)
        for line, frame in zip(lines, frames, strict=True):
            event, data = json.loads(line), json.loads(frame.data)
            symbol = "BTC-USDT" if data["s"] == "BTCUSDT" else "ETH-USDT"
            assert event["id"] == f"binance:{symbol}:agg:{data['a']}"
            assert event["schema"] == 1
            assert event["source"] == "market"
            assert f'"price":{data["p"]},' in line
            assert f'"volume":{data["q"]},' in line
            assert event["payload"]["side"] == ("sell" if data["m"] else "buy")
            assert event["timestamp"].endswith(f".{data['T'] % 1000:03d}000Z")
            assert event["received"] > "2024"
        instance.check_ledger()


def test_directions_follow_the_price(run_program: RunProgram) -> None:
    prices = ["10.0", "10.5", "10.50", "9.99", "10"]
    frames = [agg_trade("btcusdt", number, price=price) for number, price in enumerate(prices, 1)]
    with Exchange(frames, [PLAY]) as exchange:
        events = run_program("--source", BITCOIN, env=settings(exchange)).wait_events(len(frames))
        directions = [event["payload"].get("direction") for event in events]
        assert directions[1:] == ["up", "flat", "down", "up"]


def test_duplicates_are_dropped_and_counted(run_program: RunProgram) -> None:
    frames = agg_trades("btcusdt", 1, 20)
    order = [number for number in range(20) for _ in range(3)] + list(range(10))
    with Exchange(frames, [[{"step": "play", "order": order}]]) as exchange:
        instance = run_program("--source", BITCOIN, env=settings(exchange))
        instance.wait_source(lambda s: s["duplicates"] == 50, "duplicates")
        events = instance.wait_events(20)
        assert trades(events) == list(range(1, 21))
        assert gaps(events) == []


def test_missing_trades_become_gap_events(run_program: RunProgram) -> None:
    frames = agg_trades("btcusdt", 100, 30)
    order = [*range(10), *range(15, 20), *range(21, 30)]
    with Exchange(frames, [[{"step": "play", "order": order}]]) as exchange:
        instance = run_program("--source", BITCOIN, env=settings(exchange))
        events = instance.wait_events(len(order) + 2)
        assert gaps(events) == [(110, 114, 5), (120, 120, 1)]
        assert trades(events) == [100 + number for number in order]
        kinds = [event["payload"]["kind"] for event in events]
        assert kinds[10] == "gap", "a gap stands before the trade that shows it"
        assert events[10]["id"] == "binance:BTC-USDT:gap:110-114"
        source = instance.source()
        assert (source["gaps"], source["missing"]) == (2, 6)


def test_disorder_loses_and_doubles_nothing(run_program: RunProgram) -> None:
    frames = agg_trades("btcusdt", 1, 12)
    order = [0, 2, 1, 3, 7, 6, 5, 4, 8, 11, 10, 9, 4, 11]
    with Exchange(frames, [[{"step": "play", "order": order}]]) as exchange:
        instance = run_program("--source", BITCOIN, env=settings(exchange))
        instance.wait_source(lambda s: s["duplicates"] == 2, "duplicates")
        events = instance.wait_tail(lambda e: len(trades(e)) >= 12, "trades")
        assert sorted(trades(events)) == list(range(1, 13))


BAD_FRAMES: list[Step] = [
    {"step": "text", "text": "this is not JSON"},
    {"step": "text", "text": '{"stream":"btcusdt@aggTrade","data":{"e":"aggTrade","E":17'},
    {"step": "text", "text": ""},
    {"step": "text", "text": "[" * 3000},
    {"step": "text", "text": agg_trade("btcusdt", 900, price="12.3.4").combined},
    {"step": "text", "text": agg_trade("btcusdt", 901).combined.replace('"q":"1.00000000",', "")},
    {"step": "text", "text": agg_trade("btcusdt", 902).combined.replace('"T":1700000000902', '"T":"yesterday"')},
    {"step": "text", "text": agg_trade("btcusdt", 903).combined.replace('"T":1700000000903', '"T":-99999999999999999')},
    {"step": "binary", "hex": "00ff00ff"},
]


def test_bad_frames_are_counted_by_reason_and_stop_nothing(run_program: RunProgram) -> None:
    frames = agg_trades("btcusdt", 1, 10)
    script = [{"step": "play", "to": 5}, *BAD_FRAMES, {"step": "play", "from": 5}]
    with Exchange(frames, [script]) as exchange:
        instance = run_program("--source", BITCOIN, env=settings(exchange))
        events = instance.wait_events(10)
        assert trades(events) == list(range(1, 11))
        source = instance.wait_source(lambda s: s["rejected"] >= len(BAD_FRAMES) - 1, "rejects")
        assert source["state"] == "live"
        assert source["reconnects"] == 0
        reasons = source["rejected_by"]
        assert sum(reasons.values()) == source["rejected"]
        assert {"malformed_json", "bad_number", "missing_field"} <= reasons.keys(), reasons


BREAKS: dict[str, list[Step]] = {
    "going away": [{"step": "close", "code": 1001, "reason": "maintenance"}],
    "internal error": [{"step": "close", "code": 1011}],
    "reset": [{"step": "drop"}],
    "reserved opcode": [{"step": "raw", "hex": "8b00"}],
    "fragment without a start": [{"step": "raw", "hex": "80016b"}],
    "too large a message": [{"step": "huge", "bytes": 6_000_000}],
}


@pytest.mark.parametrize("script", BREAKS.values(), ids=BREAKS.keys())
def test_a_broken_connection_is_made_again_and_its_hole_declared(run_program: RunProgram, script: list[Step]) -> None:
    frames = agg_trades("btcusdt", 1, 30)
    sessions = [
        [{"step": "play", "to": 10}, *script],
        [{"step": "play", "from": 8, "to": 9}, {"step": "play", "from": 15}],
    ]
    with Exchange(frames, sessions) as exchange:
        instance = run_program("--source", BITCOIN, env=settings(exchange))
        events = instance.wait_tail(lambda e: len(trades(e)) >= 25, "trades of both connections")
        assert trades(events) == [*range(1, 11), *range(16, 31)]
        assert (11, 15, 5) in gaps(events)
        source = instance.source()
        assert source["state"] == "live"
        assert source["reconnects"] == 1
        assert source["duplicates"] == 1


REFUSALS: dict[str, Step] = {
    "503": {"step": "refuse", "status": 503, "headers": {"Retry-After": "1"}},
    "429": {"step": "refuse", "status": 429},
    "wrong accept key": {"step": "upgrade", "fault": "accept"},
    "subprotocol nobody asked for": {"step": "upgrade", "fault": "subprotocol"},
}


@pytest.mark.parametrize("refusal", REFUSALS.values(), ids=REFUSALS.keys())
def test_refused_upgrades_are_backed_off_and_tried_again(run_program: RunProgram, refusal: Step) -> None:
    frames = agg_trades("btcusdt", 1, 5)
    with Exchange(frames, [[refusal], [refusal], PLAY]) as exchange:
        instance = run_program("--source", BITCOIN, env=settings(exchange))
        assert instance.get_status_code("/readyz") == 200, "a feed that is down does not make the program unready"
        events = instance.wait_events(5)
        assert trades(events) == [1, 2, 3, 4, 5]
        assert instance.source()["state"] == "live"


def test_nobody_there_is_degraded_not_dead(run_program: RunProgram) -> None:
    with Exchange([]) as exchange:
        env = settings(exchange)
    instance = run_program("--source", BITCOIN, env=env)
    source = instance.wait_source(lambda s: s["state"] == "backing_off", "back-off")
    assert source["error"]
    assert instance.get_status_code("/readyz") == 200


def test_pings_are_answered(run_program: RunProgram) -> None:
    with Exchange(agg_trades("btcusdt", 1, 1), [[{"step": "ping", "payload": "1700000000000"}, *PLAY]]) as exchange:
        run_program("--source", BITCOIN, env=settings(exchange)).wait_events(1)
        assert exchange.logged("pong")


def test_tls_with_a_named_authority_and_not_without(run_program: RunProgram, tmp_path: Path) -> None:
    certificates = LoopbackCertificates(tmp_path)
    with Exchange(agg_trades("btcusdt", 1, 3), [PLAY], tls=certificates.server) as exchange:
        untrusting = run_program("--source", BITCOIN, env=settings(exchange))
        source = untrusting.wait_source(lambda s: s["state"] == "backing_off", "refusal of the certificate")
        assert not exchange.logged("connect"), source
        untrusting.stop()
        trusting = settings(exchange) | {"DATAFLOW_TLS_CA_FILE": str(certificates.authority)}
        assert trades(run_program("--source", BITCOIN, env=trusting).wait_events(3)) == [1, 2, 3]


def test_other_streams_become_quotes_and_candles(run_program: RunProgram) -> None:
    """Frames that a combined stream may carry beside trades, unasked: normalised or counted, never a stop."""
    frames = agg_trades("btcusdt", 1, 2)
    depth = Frame("btcusdt@depth@100ms", '{"e":"depthUpdate","E":1,"s":"BTCUSDT","U":1,"u":2,"b":[],"a":[]}')
    script: list[Step] = [{"step": "text", "text": depth.combined}, *PLAY]
    with Exchange(frames, [script]) as exchange:
        instance = run_program("--source", BITCOIN, env=settings(exchange))
        assert trades(instance.wait_events(2)) == [1, 2]
        source = instance.source()
        assert source["filtered"] + source["rejected"] >= 1


def test_tail_follow_sees_events_as_they_come(run_program: RunProgram) -> None:
    frames = agg_trades("btcusdt", 1, 40)
    script: list[Step] = [{"step": "play", "to": 20}, {"step": "wait", "name": "more"}, {"step": "play", "from": 20}]
    with Exchange(frames, [script]) as exchange:
        instance = run_program("--source", BITCOIN, env=settings(exchange))
        instance.wait_events(20)
        command = [program(), "tail", "market_stream", "--follow", "--data", str(instance.data)]
        with subprocess.Popen(command, env=environment(), stdout=subprocess.PIPE, text=True) as tail:
            assert tail.stdout is not None
            first = [json.loads(tail.stdout.readline()) for _ in range(20)]
            exchange.release("more")
            then = [json.loads(tail.stdout.readline()) for _ in range(20)]
            tail.terminate()
        assert trades(first + then) == list(range(1, 41))


async def _live(url: str, count: int) -> list[dict[str, Any]]:
    async with connect(url.replace("http", "ws") + "/live", max_queue=None) as client:
        await client.send('{"subscribe":["market_stream","status"]}')
        got: list[dict[str, Any]] = []
        while len(got) < count:
            message = json.loads(await asyncio.wait_for(client.recv(), 30))
            if message.get("topic") == "market_stream":
                got.append(message["event"])
        return got


def test_live_socket_and_event_pages_show_the_log(run_program: RunProgram) -> None:
    with Exchange(agg_trades("btcusdt", 1, 250), [PLAY]) as exchange:
        instance = run_program("--source", BITCOIN, env=settings(exchange))
        logged = instance.wait_events(250)
        assert asyncio.run(_live(instance.url, 10))[-1]["payload"]["kind"] == "trade"
        newest = instance.get("/api/v1/events?topic=market_stream&limit=100")
        assert newest["events"] == logged[-100:]
        wait_until(lambda: instance.stages() and instance.get("/api/v1/status")["store"]["index_rows"] > 0, "index")
        start = logged[0]["timestamp"]
        seen: list[Event] = []
        page = instance.get(f"/api/v1/events?topic=market_stream&from={start}&limit=100")
        while True:
            seen += page["events"]
            if not page["events"]:  # an empty page keeps the cursor
                break
            page = instance.get(f"/api/v1/events?topic=market_stream&from={start}&limit=100&after={page['next']}")
        assert seen == logged


def _events_after_restart(run_program: RunProgram, exchange: Exchange, kill: bool) -> tuple[list[Event], Instance]:
    first = run_program("--source", BITCOIN, env=settings(exchange))
    acknowledged = first.wait_events(50)
    if kill:
        first.kill()
    else:
        assert first.stop() == 0
    second = run_program("--source", BITCOIN, env=settings(exchange))
    events = second.wait_tail(lambda e: 90 in trades(e), "trades of the second run")
    assert events[: len(acknowledged)] == acknowledged, "what was acknowledged is there, unchanged"
    return events, second


@pytest.mark.parametrize("kill", [True, False], ids=["kill -9", "SIGTERM"])
def test_restart_keeps_what_was_acknowledged_and_declares_what_it_missed(run_program: RunProgram, kill: bool) -> None:
    frames = agg_trades("btcusdt", 1, 90)
    sessions = [[{"step": "play", "to": 50}], [{"step": "play", "from": 60}]]
    with Exchange(frames, sessions) as exchange:
        events, second = _events_after_restart(run_program, exchange, kill)
        assert trades(events) == [*range(1, 51), *range(61, 91)]
        assert gaps(events) == [(51, 60, 10)]
        assert second.source()["state"] == "live"


def test_restart_does_not_double_what_is_in_the_log(run_program: RunProgram) -> None:
    frames = agg_trades("btcusdt", 1, 90)
    with Exchange(frames, [[{"step": "play", "to": 50}], [{"step": "play", "from": 30}]]) as exchange:
        events, second = _events_after_restart(run_program, exchange, kill=True)
        assert trades(events) == list(range(1, 91))
        assert second.source()["duplicates"] == 20


def test_recorded_session_gives_the_same_events(run_program: RunProgram, tmp_path: Path) -> None:
    """What `record` wrote of a live session, replayed, is what `run` made of the same frames."""
    frames = agg_trades("btcusdt", 1, 60)
    order = [*range(20), *range(25, 60), 3, 4]
    script: list[Step] = [{"step": "play", "order": order}, {"step": "close", "code": 1000}]
    recording = tmp_path / "session.jsonl"
    with (
        Exchange(frames, [script]) as exchange,
        subprocess.Popen(
            [program(), "record", "--source", BITCOIN, str(recording)],
            cwd=tmp_path,
            env=environment(settings(exchange)),
            stderr=subprocess.PIPE,
            text=True,
        ) as recorder,
    ):
        exchange.wait_for("end", 1)
        wait_until(lambda: recording.exists() and recording.read_text().count('"event":"frame"') >= len(order), "frames")
        recorder.terminate()
        recorder.communicate()
    assert recorder.returncode in (0, 130)
    with Exchange(frames, [script]) as exchange:
        live = run_program("--source", BITCOIN, env=settings(exchange)).wait_events(len(order) - 1)
    done = dataflow("replay", recording, "--speed", "max", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    replayed = json_lines(done.stdout)

    def without_receipt(events: list[Event]) -> list[Event]:
        return [{name: value for name, value in event.items() if name != "received"} for event in events]

    assert without_receipt(replayed)[: len(live)] == without_receipt(live)
