"""The API of a running program: its own description is valid OpenAPI 3.1 and true, foreign pages and hosts are turned away,
and live clients see what is stored and what comes."""

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from e2e.conftest import RunProgram
from e2e.program import Instance
from jsonschema import Draft202012Validator
from openapi_spec_validator import validate
from referencing import Registry
from referencing.jsonschema import DRAFT202012
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed, InvalidStatus

# A request for each path that answers with JSON of a described form.
REQUESTS = {
    "/livez": "/livez",
    "/readyz": "/readyz",
    "/openapi.json": "/openapi.json",
    "/api/v1/events": "/api/v1/events?topic=market_stream&limit=20",
    "/api/v1/sources": "/api/v1/sources",
    "/api/v1/status": "/api/v1/status",
    "/api/v1/anomalies": "/api/v1/anomalies",
    "/api/v1/alerts": "/api/v1/alerts?limit=5",
    "/api/v1/windows/{query}": "/api/v1/windows/ohlcv",
}


@pytest.fixture
def simulated(run_program: RunProgram) -> Instance:
    instance = run_program("--source", "simulated:market", "--source", "simulated:chat")
    instance.wait_source(lambda source: source["events"] > 20, "events of the simulated market")
    return instance


def ask(instance: Instance, path: str, method: str = "GET", headers: dict[str, str] | None = None) -> tuple[int, Any]:
    request = urllib.request.Request(instance.url + path, method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=60) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def live_url(instance: Instance) -> str:
    return instance.url.replace("http", "ws") + "/live"


def test_openapi_is_valid_and_true(simulated: Instance) -> None:
    document = simulated.get("/openapi.json")
    validate(document)
    registry: Registry[Any] = Registry().with_resource("urn:api", DRAFT202012.create_resource(document))

    def check(path: str, status: int, body: Any) -> None:
        schema = document["paths"][path]["get"]["responses"][str(status)]["content"]["application/json"]["schema"]
        Draft202012Validator({"$ref": "urn:api" + schema["$ref"]}, registry=registry).validate(body)

    for path, target in REQUESTS.items():
        status, body = ask(simulated, target)
        check(path, status, body)
    for path, target in [
        ("/api/v1/events", "/api/v1/events?topic=nonsense"),
        ("/api/v1/events", "/api/v1/events?topic=market_stream&after=nonsense"),
        ("/api/v1/alerts", "/api/v1/alerts?limit=0"),
    ]:
        status, body = ask(simulated, target)
        assert status == 400
        check(path, status, body)
    status, body = ask(simulated, "/api/v1/status", headers={"Host": "evil.example"})
    assert status == 403
    check("/api/v1/status", status, body)


def test_paging_meets_every_event_once(simulated: Instance) -> None:
    newest = simulated.get("/api/v1/events?topic=market_stream&limit=1")["events"][0]
    until = newest["timestamp"]
    whole = simulated.get(f"/api/v1/events?topic=market_stream&limit=1000&to={until}")["events"]
    assert len(whole) > 10
    start = whole[0]["timestamp"]
    paged: list[dict[str, Any]] = []
    cursor = ""
    while True:
        page = simulated.get(f"/api/v1/events?topic=market_stream&limit=7&from={start}&to={until}{cursor}")
        if not page["events"]:
            break
        paged += page["events"]
        cursor = f"&after={page['next']}"
    ids = [event["id"] for event in paged]
    assert len(ids) == len(set(ids))
    assert {event["id"] for event in whole} <= set(ids)


def test_foreign_hosts_and_origins(simulated: Instance) -> None:
    assert ask(simulated, "/api/v1/status", headers={"Host": "evil.example"})[0] == 403
    assert ask(simulated, "/api/v1/status", headers={"Origin": "http://evil.example"})[0] == 200  # no CORS header lets it read
    assert ask(simulated, "/api/v1/status", "DELETE", {"Origin": "http://evil.example"})[0] == 403

    async def foreign_page() -> None:
        async with connect(live_url(simulated), origin="http://evil.example"):  # type: ignore[arg-type]
            pass

    with pytest.raises(InvalidStatus) as refused:
        asyncio.run(foreign_page())
    assert refused.value.response.status_code == 403


def test_live_backlog_feed_and_filter(simulated: Instance) -> None:
    async def listen() -> None:
        async with connect(live_url(simulated)) as client:
            assert "Sec-WebSocket-Extensions" not in (client.response.headers if client.response else {})
            await client.send("nonsense")
            assert "error" in json.loads(await client.recv())
            await client.send('{"subscribe":["market_stream","status"],"filter":{"symbol":"BTC-USDT"}}')
            frame = json.loads(await client.recv())
            assert frame["topic"] == "status"
            assert frame["event"]["stages"]
            ids: set[str] = set()
            status = 0
            while len(ids) < 110 or status < 1:
                frame = json.loads(await client.recv())
                if frame["topic"] == "status":
                    status += 1
                elif "event" in frame:
                    assert frame["event"]["payload"]["symbol"] == "BTC-USDT"
                    assert frame["event"]["id"] not in ids
                    ids.add(frame["event"]["id"])

    asyncio.run(asyncio.wait_for(listen(), 60))


def test_backlog_and_feed_join_without_an_untold_hole(run_program: RunProgram) -> None:
    """The index is always a little behind the log, and no new subscriber may notice."""
    instance = run_program("--source", "simulated:market", "--rate", "2000")
    instance.wait_source(lambda source: source["events"] > 1000, "events")

    async def subscribe() -> None:
        last: dict[str, int] = {}
        async with connect(live_url(instance), max_queue=None) as client:  # reads on while it closes
            await client.send(json.dumps({"subscribe": ["market_stream"]}))
            for _ in range(300):
                frame = json.loads(await asyncio.wait_for(client.recv(), 60))
                if "dropped" in frame:
                    last.clear()
                    continue
                symbol, number = (frame["event"]["payload"][field] for field in ("symbol", "trade_id"))
                assert number == last.get(symbol, number - 1) + 1, (symbol, number, last)
                last[symbol] = number

    async def talk() -> None:
        await subscribe()
        async with connect(live_url(instance)) as listener:  # from now on the feed stands at the end of the log
            await listener.send(json.dumps({"subscribe": ["market_stream"], "filter": {"key": "none"}}))
            for _ in range(20):
                await subscribe()

    asyncio.run(talk())


def test_oversized_message_closes_with_1009(simulated: Instance) -> None:
    async def shout() -> int:
        async with connect(live_url(simulated)) as client:
            await client.send("x" * 70_000)
            try:
                while True:
                    await client.recv()
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else 0

    assert asyncio.run(asyncio.wait_for(shout(), 60)) == 1009


def test_stopping_says_goodbye(run_program: RunProgram, tmp_path: Path) -> None:
    instance = run_program("--source", "simulated:market")

    async def listen() -> int:
        async with connect(live_url(instance)) as client:
            await client.send('{"subscribe":["market_stream"]}')
            await client.recv()
            instance.process.terminate()
            try:
                while True:
                    await client.recv()
            except ConnectionClosed as closed:
                return closed.rcvd.code if closed.rcvd else 0

    assert asyncio.run(asyncio.wait_for(listen(), 60)) == 1001
    assert instance.process.wait(60) == 0
