"""Commands as people and scripts use them: output, exit status, messages, pipes."""

import json
import signal
import subprocess
from pathlib import Path

import pytest
from e2e.conftest import RunProgram
from e2e.program import TOP, Event, dataflow, environment, json_lines, program
from servers.binance_frames import agg_trade, agg_trades

COMMANDS = ["run", "normalize", "record", "replay", "tail", "export", "check", "doctor", "health", "bench"]
DEMO = TOP / "demo" / "demo.jsonl"


def frames_text(count: int = 20) -> str:
    return "".join(frame.combined + "\n" for frame in agg_trades("btcusdt", 1, count))


def recording_text(count: int, spacing_ms: int = 10) -> str:
    """A recording as `record` writes it, of `count` trades."""
    lines = []
    for number, frame in enumerate(agg_trades("btcusdt", 1, count)):
        at = f"2026-11-23T22:20:{number * spacing_ms // 1000:02d}.{number * spacing_ms % 1000:03d}000Z"
        common = {"received": at, "source": "binance:BTC-USDT", "connection": 1}
        if number == 0:
            lines.append(common | {"event": "open"})
        lines.append(common | {"event": "frame", "frame": frame.combined})
    return "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)


# ---- help and usage ----


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_explains_itself(command: str, tmp_path: Path) -> None:
    done = dataflow(command, "--help", cwd=tmp_path)
    assert done.returncode == 0
    assert command in done.stdout
    assert done.stderr == ""


def test_program_help_lists_the_commands(tmp_path: Path) -> None:
    done = dataflow("--help", cwd=tmp_path)
    assert done.returncode == 0
    assert all(command in done.stdout for command in COMMANDS)
    assert dataflow(cwd=tmp_path).returncode == 2


@pytest.mark.parametrize(
    ("arguments", "hint"),
    [
        (["nromalize"], "normalize"),
        (["run", "--sorce", "simulated:market"], "--source"),
        (["run", "--source", "binanse:BTC-USDT"], "binance"),
        (["tail", "market_steam"], "market_stream"),
        (["normalize", "--source", "binanc"], "binance"),
    ],
)
def test_misspelt_words_are_answered_with_the_right_one(arguments: list[str], hint: str, tmp_path: Path) -> None:
    done = dataflow(*arguments, cwd=tmp_path)
    assert done.returncode == 2
    assert hint in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion(shell: str, tmp_path: Path) -> None:
    done = dataflow("completion", shell, cwd=tmp_path)
    assert done.returncode == 0
    assert "normalize" in done.stdout
    if shell == "bash":
        subprocess.run(["bash", "-n"], input=done.stdout, text=True, check=True)


# ---- configuration ----


def test_check_of_a_good_configuration(tmp_path: Path) -> None:
    (tmp_path / "dataflow.yaml").write_text("sources:\n  - simulated:market\nlisten: 127.0.0.1:0\n")
    done = dataflow("check", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert isinstance(json.loads(dataflow("check", "--json", cwd=tmp_path).stdout), dict)


@pytest.mark.parametrize(("template", "copy"), [(".env.local", ".env.development"), ("dataflow.yaml.example", "dataflow.yaml")])
def test_templates_are_good_as_they_are(template: str, copy: str, tmp_path: Path) -> None:
    (tmp_path / copy).write_bytes((TOP / template).read_bytes())
    done = dataflow("check", cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "binance:BTC-USDT,ETH-USDT" in done.stdout


def test_wrong_configuration_names_file_line_and_the_right_key(tmp_path: Path) -> None:
    (tmp_path / "dataflow.yaml").write_text("sources:\n  - simulated:market\nlisen: 127.0.0.1:0\n")
    for command in ("check", "run"):
        done = dataflow(command, cwd=tmp_path)
        said = done.stdout + done.stderr
        assert done.returncode == 2, said
        assert "dataflow.yaml:3" in said
        assert "listen" in said


def test_layers_flags_environment_dotenv_yaml(tmp_path: Path) -> None:
    def rejected(*arguments: str, env: dict[str, str] | None = None) -> str:
        """Which layer's (wrong) value the program complains about."""
        done = dataflow("check", *arguments, cwd=tmp_path, env=env)
        assert done.returncode == 2
        return done.stdout + done.stderr

    (tmp_path / "dataflow.yaml").write_text("speed: yaml-value\n")
    assert "yaml-value" in rejected()
    (tmp_path / ".env.development").write_text("DATAFLOW_SPEED=dotenv-value\n")
    assert "dotenv-value" in rejected()
    assert "environment-value" in rejected(env={"DATAFLOW_SPEED": "environment-value"})
    assert "flag-value" in rejected("--speed", "flag-value", env={"DATAFLOW_SPEED": "environment-value"})


def test_plaintext_feeds_only_on_loopback(tmp_path: Path) -> None:
    env = {"DATAFLOW_BINANCE_WS_URL": "ws://192.0.2.1:80"}
    done = dataflow("check", "--source", "binance:BTC-USDT", cwd=tmp_path, env=env)
    assert done.returncode == 2
    assert "ALLOW_PLAINTEXT" in done.stdout + done.stderr


def test_secrets_are_never_printed(tmp_path: Path) -> None:
    env = {"TWITCH_OAUTH_TOKEN": "oauth:sesame-open-up", "DATAFLOW_TOKEN": "sesame-open-up"}
    for arguments in (["check"], ["check", "--json"], ["doctor", "--data", str(tmp_path / "none")]):
        done = dataflow(*arguments, cwd=tmp_path, env=env)
        assert "sesame" not in done.stdout + done.stderr


# ---- normalize ----


def test_normalize_reads_files_and_standard_input(tmp_path: Path) -> None:
    (tmp_path / "frames").write_text(frames_text())
    by_file = dataflow("normalize", "--source", "binance", "frames", cwd=tmp_path)
    by_pipe = dataflow("normalize", "--source", "binance", "-", cwd=tmp_path, stdin=frames_text())
    without = dataflow("normalize", "--source", "binance", cwd=tmp_path, stdin=frames_text())
    assert by_file.returncode == by_pipe.returncode == without.returncode == 0
    assert by_file.stdout == by_pipe.stdout == without.stdout
    events = json_lines(by_file.stdout)
    assert [event["payload"]["trade_id"] for event in events] == list(range(1, 21))
    assert all("received" not in event for event in events)


def test_normalize_counts_keeps_and_sums_up_bad_lines(tmp_path: Path) -> None:
    bad = ["no JSON at all", agg_trade("btcusdt", 99, price="1e").combined, "\udc80\udcff", "x" * 3_000_000]
    good = frames_text(3).splitlines()
    lines = [good[0], bad[0], good[1], bad[1], bad[2], good[2], bad[3]]
    text = "\n".join(lines).encode("utf-8", "surrogateescape") + b"\n"
    done = dataflow("normalize", "--source", "binance", "--rejects", "bad.jsonl", cwd=tmp_path, stdin=text)
    assert done.returncode == 0, done.stderr
    assert [event["payload"]["trade_id"] for event in json_lines(done.stdout)] == [1, 2, 3]
    rejects = [json.loads(line) for line in (tmp_path / "bad.jsonl").read_bytes().splitlines()]
    assert [reject["line"] for reject in rejects] == [2, 4, 5, 7]
    assert len({reject["reason"] for reject in rejects}) >= 3
    assert "4" in done.stderr
    strict = dataflow("normalize", "--source", "binance", "--strict", cwd=tmp_path, stdin=text)
    assert strict.returncode == 3
    assert strict.stdout == done.stdout


def test_missing_file_is_one_clear_sentence(tmp_path: Path) -> None:
    done = dataflow("normalize", "--source", "binance", "no-such-file", cwd=tmp_path)
    assert done.returncode in (1, 2)
    assert "cannot open no-such-file" in done.stderr.splitlines()[0]


def test_a_reader_that_leaves_ends_it_quietly(tmp_path: Path) -> None:
    (tmp_path / "frames").write_text(frames_text(5000))
    command = f"{program()} normalize --source binance frames | head -n 1"
    done = subprocess.run(
        ["bash", "-o", "pipefail", "-c", command], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60
    )
    assert len(json_lines(done.stdout)) == 1
    assert done.stderr == ""


# ---- exit status ----

NO_FILE = "recording:no-such-file"
BAD_LINE = (
    '{"received":"2026-11-23T22:20:06.000000Z","source":"binance:BTC-USDT","connection":1,"event":"frame","frame":"no JSON"}'
)


@pytest.mark.parametrize(
    "arguments",
    [
        ["run", "--source", NO_FILE, "--exit-at-end", "--listen", "127.0.0.1:0", "--data", "data"],
        ["record", "out.jsonl", "--source", NO_FILE, "--exit-at-end"],
        ["replay", "no-such-file"],
        ["replay", "no-such-file", "--bus", "embedded:log"],
    ],
)
def test_a_source_that_failed_fails_the_command(arguments: list[str], tmp_path: Path) -> None:
    done = dataflow(*arguments, cwd=tmp_path)
    assert done.returncode == 1, done.stderr
    last = done.stderr.splitlines()[-1]
    assert last == f"dataflow {arguments[0]}: recording:no-such-file: cannot read no-such-file: No such file or directory"


@pytest.mark.parametrize("through", [[], ["--bus", "embedded:log"]])
def test_replay_sums_up_and_strict_tells_by_its_status(through: list[str], tmp_path: Path) -> None:
    (tmp_path / "recording.jsonl").write_text(recording_text(3) + BAD_LINE + "\n")
    done = dataflow("replay", "recording.jsonl", *through, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    sums = [entry["message"] for entry in json_lines(done.stderr) if entry["event"] == "replayed"]
    assert sums == ["recording:recording.jsonl: 3 events, 0 duplicates, 1 records refused: malformed_json 1"]
    if through:
        (tmp_path / "log").rename(tmp_path / "log.before")
    assert dataflow("replay", "--strict", "recording.jsonl", *through, cwd=tmp_path).returncode == 3


def test_signals_that_end_run_and_record(run_program: RunProgram, tmp_path: Path) -> None:
    """Both end in order; SIGTERM is how it is meant to end, SIGINT an interruption."""
    instance = run_program("--source", "simulated:market")
    assert instance.stop(signal.SIGINT) == 130
    for number, status in ((signal.SIGINT, 130), (signal.SIGTERM, 0)):
        recorder = subprocess.Popen(
            [program(), "record", "-", "--source", "simulated:market"],
            cwd=tmp_path,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        assert recorder.stdout is not None
        assert recorder.stdout.readline()
        recorder.send_signal(number)
        rest, _ = recorder.communicate(timeout=60)
        assert recorder.returncode == status
        assert all(json.loads(line) for line in rest.splitlines())


def test_a_taken_port_is_noticed_before_anything_is_made(run_program: RunProgram, tmp_path: Path) -> None:
    address = run_program("--source", "simulated:market", directory=tmp_path).url.removeprefix("http://")
    done = dataflow("run", "--listen", address, "--data", "other", cwd=tmp_path)
    assert done.returncode == 1
    assert address in done.stderr and "instance answers there" in done.stderr
    assert not (tmp_path / "other").exists()


def test_data_are_not_for_everybody(tmp_path: Path) -> None:
    data = run_recording(tmp_path, recording_text(20))
    paths = list(data.rglob("*"))
    assert {path.name for path in paths} >= {"log", "store.db"}
    for path in [data, *paths]:
        assert path.stat().st_mode & 0o777 == (0o750 if path.is_dir() else path.stat().st_mode & 0o640), path


def test_check_knows_files_that_are_not_there(tmp_path: Path) -> None:
    done = dataflow("check", "--source", NO_FILE, cwd=tmp_path)
    assert done.returncode == 2
    assert "no-such-file" in done.stderr and "cannot be read" in done.stderr


def test_normalize_names_only_kinds_that_it_takes(tmp_path: Path) -> None:
    done = dataflow("normalize", "--source", "nope", cwd=tmp_path)
    assert done.returncode == 2
    assert "binance" in done.stderr and "recording" not in done.stderr and "simulated" not in done.stderr


# ---- run, tail, export, doctor, health ----


def run_recording(directory: Path, text: str) -> Path:
    """Takes a recording into a log, at once, and returns the data directory."""
    (directory / "recording.jsonl").write_text(text)
    data = directory / "data"
    done = dataflow(
        "run", "--source", "recording:recording.jsonl", "--speed", "max", "--exit-at-end",
        "--data", data, "--listen", "127.0.0.1:0", cwd=directory,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return data


def test_tail_positions(tmp_path: Path) -> None:
    data = run_recording(tmp_path, recording_text(50))

    def ids(*arguments: str) -> list[int]:
        done = dataflow("tail", "market_stream", *arguments, "--data", data, cwd=tmp_path)
        assert done.returncode == 0, done.stderr
        return [event["payload"]["trade_id"] for event in json_lines(done.stdout)]

    every = list(range(1, 51))
    assert ids() == every
    assert ids("--from", "beginning") == every
    assert ids("--from", "-7") == every[-7:]
    assert ids("--from", "end") == []
    assert ids("--key", "binance:BTC-USDT") == every
    assert ids("--key", "binance:ETH-USDT") == []


def test_export_formats(tmp_path: Path) -> None:
    data = run_recording(tmp_path, recording_text(50))
    lines = dataflow("export", "--topic", "market_stream", "--data", data, cwd=tmp_path)
    assert lines.stdout == dataflow("tail", "market_stream", "--data", data, cwd=tmp_path).stdout
    table = dataflow("export", "--topic", "market_stream", "--format", "csv", "--data", data, cwd=tmp_path)
    assert table.returncode == 0, table.stderr
    head, *rows = table.stdout.splitlines()
    assert len(rows) == 50
    assert "price" in head.split(",")


def test_doctor_finds_damage_and_says_where(tmp_path: Path) -> None:
    """Damage with whole batches behind it: not what a power failure leaves, so nothing that is cut in silence."""
    run_recording(tmp_path, recording_text(500))
    data = run_recording(tmp_path, recording_text(500))
    assert dataflow("doctor", "--data", data, cwd=tmp_path).returncode == 0
    segment = max((data / "log").iterdir(), key=lambda path: path.stat().st_size)
    content = bytearray(segment.read_bytes())
    content[200] ^= 0x40
    segment.write_bytes(content)
    done = dataflow("doctor", "--data", data, cwd=tmp_path)
    assert done.returncode == 1
    assert segment.name in done.stdout + done.stderr


def test_torn_tail_is_cut_and_the_rest_kept(tmp_path: Path) -> None:
    data = run_recording(tmp_path, recording_text(500))
    segment = max((data / "log").iterdir(), key=lambda path: path.stat().st_size)
    with segment.open("ab") as file:
        file.write(b"\x01half a batch that power failure left")
    run_recording(tmp_path, recording_text(500))
    done = dataflow("tail", "market_stream", "--data", data, cwd=tmp_path)
    assert len(json_lines(done.stdout)) >= 500
    assert dataflow("doctor", "--data", data, cwd=tmp_path).returncode == 0


def test_health_of_nobody(tmp_path: Path) -> None:
    done = dataflow("health", "127.0.0.1:1", cwd=tmp_path)
    assert done.returncode == 1
    assert "127.0.0.1:1" in done.stdout + done.stderr


def test_rebuild_gives_the_same_store(tmp_path: Path) -> None:
    data = run_recording(tmp_path, recording_text(300))
    (data / "store.db").unlink()
    done = dataflow("rebuild", "--data", data, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert (data / "store.db").exists()


def test_bench_prints_json_lines(tmp_path: Path) -> None:
    done = dataflow("bench", "--events", "2000", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert json_lines(done.stdout)


# ---- determinism ----


def excerpt(lines: int) -> str:
    with DEMO.open(encoding="utf-8") as demo:
        return "".join(line for line, _ in zip(demo, range(lines), strict=False))


def replay(recording: Path, speed: str) -> str:
    done = dataflow("replay", recording, "--speed", speed, cwd=recording.parent)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_same_bytes_at_any_speed(tmp_path: Path) -> None:
    """A short excerpt as recorded and fifty times as fast; all of the demo fast and at once."""
    short = tmp_path / "short.jsonl"
    short.write_text(excerpt(60))
    assert replay(short, "1") == replay(short, "50") == replay(short, "max") != ""
    whole = tmp_path / "whole.jsonl"
    whole.write_bytes(DEMO.read_bytes())
    assert replay(whole, "max") == replay(whole, "5000") != ""


def test_the_pipeline_logs_what_replay_prints(tmp_path: Path) -> None:
    text = DEMO.read_text(encoding="utf-8")
    (tmp_path / "recording.jsonl").write_text(text)
    printed = replay(tmp_path / "recording.jsonl", "max").splitlines()
    data = run_recording(tmp_path, text)
    logged: list[str] = []
    for topic in ("chat_stream", "market_stream"):
        logged += dataflow("tail", topic, "--data", data, cwd=tmp_path).stdout.splitlines()
    assert sorted(logged) == sorted(printed)


def test_a_stopped_and_repeated_replay_gives_the_same_ids(tmp_path: Path) -> None:
    """Ids are deterministic: taking the same recording twice makes no new ones."""
    data = run_recording(tmp_path, recording_text(100))
    once: list[Event] = json_lines(dataflow("tail", "market_stream", "--data", data, cwd=tmp_path).stdout)
    run_recording(tmp_path, recording_text(100))
    twice: list[Event] = json_lines(dataflow("tail", "market_stream", "--data", data, cwd=tmp_path).stdout)
    assert {event["id"] for event in twice} == {event["id"] for event in once}
