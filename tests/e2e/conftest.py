"""Every end-to-end test ends with the same check of the instances that it left running: the ledger of every stage
balances, and SIGTERM ends the program with status 0."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from e2e.program import Instance, program

RunProgram = Callable[..., Instance]


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    if not Path(program()).exists():
        raise pytest.UsageError(f"{program()} is not built; DATAFLOW names another program")


@pytest.fixture
def run_program(tmp_path: Path) -> Iterator[RunProgram]:
    instances: list[Instance] = []

    def start(*arguments: str | Path, directory: Path = tmp_path, env: dict[str, str] | None = None) -> Instance:
        instance = Instance(directory, *arguments, env=env)
        instances.append(instance)
        return instance

    try:
        yield start
        for instance in instances:
            if instance.running:
                instance.check_ledger()
                assert instance.stop() == 0, instance.log
            assert not instance.other_output, "standard error holds structured log lines only"
    finally:
        for instance in instances:
            if instance.running:
                instance.kill()
