"""`dataflow run` as a newcomer starts it: no configuration, no network, an empty folder."""

import asyncio
import json
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from e2e.conftest import RunProgram
from e2e.program import Instance, dataflow, wait_until
from websockets.asyncio.client import connect

# The goals are 300 ms to ready and 1 s to data on the page; busy machines and debug builds get room, hangs do not.
READY_LIMIT_S = 5.0
DATA_LIMIT_S = 5.0


async def _topics_within(instance: Instance, limit_s: float) -> set[str]:
    """The topics of which the live socket sends an event within the limit."""
    topics: set[str] = set()

    async def listen() -> None:
        async with connect(instance.url.replace("http", "ws") + "/live", max_queue=None) as client:
            await client.send('{"subscribe":["chat_stream","market_stream","status"]}')
            while topics != {"chat_stream", "market_stream"}:
                message: dict[str, Any] = json.loads(await client.recv())
                if "event" in message and message["topic"] != "status":
                    topics.add(message["topic"])

    await asyncio.wait_for(listen(), limit_s)
    return topics


@pytest.fixture
def fresh(run_program: RunProgram) -> Instance:
    return run_program()


def test_ready_soon_and_offline(fresh: Instance) -> None:
    assert fresh.ready_after_s < READY_LIMIT_S
    assert fresh.get_status_code("/livez") == 200
    assert fresh.get_status_code("/readyz") == 200
    sources = fresh.get("/api/v1/sources")["sources"]
    assert {source["kind"] for source in sources} == {"recording", "simulated"}


def test_page_answers_and_takes_nothing_from_elsewhere(fresh: Instance) -> None:
    with urllib.request.urlopen(fresh.url + "/") as response:
        assert response.headers["Content-Type"].startswith("text/html")
        policy = response.headers.get("Content-Security-Policy", "")
    assert "default-src" in policy
    assert fresh.get_status_code("/openapi.json") == 200
    assert fresh.get_status_code("/no-such-page") == 404


def test_both_feeds_on_the_page_within_a_second(fresh: Instance) -> None:
    assert asyncio.run(_topics_within(fresh, DATA_LIMIT_S)) == {"chat_stream", "market_stream"}


def test_openapi_names_what_is_there(fresh: Instance) -> None:
    document = fresh.get("/openapi.json")
    assert document["openapi"].startswith("3.")
    for path, calls in document["paths"].items():
        if "get" in calls and "{" not in path and path not in ("/live", "/api/v1/stream"):
            needs_topic = any(p["name"] == "topic" and p.get("required") for p in calls["get"].get("parameters", []))
            assert fresh.get_status_code(path + ("?topic=market_stream" if needs_topic else "")) == 200, path


def test_metrics_are_prometheus_text(fresh: Instance) -> None:
    with urllib.request.urlopen(fresh.url + "/metrics") as response:
        assert response.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        lines = response.read().decode().splitlines()
    names = set()
    for line in lines:
        if not line.startswith("#"):
            name, value = line.rsplit(" ", 1)
            float(value)
            names.add(name.partition("{")[0])
    assert {"dataflow_ready", "dataflow_stage_records", "dataflow_source_events_total"} <= names


def test_stop_is_quick_and_the_log_is_sound(fresh: Instance) -> None:
    fresh.wait_events(20)
    start = time.monotonic()
    assert fresh.stop() == 0
    stopped_after_s = time.monotonic() - start
    done = dataflow("doctor", "--data", fresh.data, cwd=fresh.directory)
    assert done.returncode == 0, done.stdout + done.stderr
    assert stopped_after_s < 2.0


def test_second_instance_on_the_same_data_is_refused_with_a_reason(fresh: Instance) -> None:
    done = dataflow("run", "--data", fresh.data, "--listen", "127.0.0.1:0", cwd=fresh.directory)
    assert done.returncode in (1, 2)
    assert str(fresh.data) in done.stderr


def test_taken_port_is_refused_with_a_reason(fresh: Instance, tmp_path: Path) -> None:
    address = fresh.url.removeprefix("http://")
    done = dataflow("run", "--data", tmp_path / "other", "--listen", address, cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert address.rpartition(":")[2] in done.stderr


def test_restarts_on_its_data(run_program: RunProgram, tmp_path: Path) -> None:
    first = run_program()
    first.wait_events(20)
    assert first.stop() == 0
    count = len(first.tail())
    second = run_program()
    wait_until(lambda: len(second.tail()) > count, "further events")
    ids = [event["id"] for event in second.tail()]
    assert len(ids) == len(set(ids)), "no event of the demo is in the log twice"
