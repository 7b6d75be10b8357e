"""A board from end to end: Arduino's builder, a Cortex-M4 in QEMU, its UART, its flash."""

import random
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from board_client import Client, Program, blobs
from cpp.toolchain import HOST_COMPILER, PORT, build_board
from qemu_board import QemuBoard, build_sketch, missing_tools

pytestmark = pytest.mark.skipif(bool(missing_tools()), reason=missing_tools())

FEATURES, CLASSES = 561, 6


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, int]]:
    sketch = PORT / "examples" / "LinearLearner" / "LinearLearner.ino"
    return build_sketch(sketch, tmp_path_factory.mktemp("linear"))


def accuracy(client: Client, samples: int = 40) -> float:
    x, y = blobs(samples, FEATURES, CLASSES, seed=1)
    found = [client.predict(sample.tobytes())["prediction"] for sample in x]
    return float(np.mean(found == y))


def test_the_sketch_is_small(built: tuple[Path, dict[str, int]]) -> None:
    """Without TensorFlow Lite Micro; static memory beside the stack of 32 KB."""
    _, used = built
    assert used["flash"] < 24_000 and used["ram"] < 8_000


def test_it_learns_and_keeps_it_through_a_power_cut(
    built: tuple[Path, dict[str, int]], tmp_path: Path
) -> None:
    elf, flash = built[0], tmp_path / "flash"
    board = QemuBoard(elf, flash)
    client = board.client
    hello = client.hello()
    assert (hello["board"], hello["flags"]) == ("qemu", 1)
    assert accuracy(client) < 0.4
    x, y = blobs(80, FEATURES, CLASSES)
    for sample, label in zip(x, y, strict=True):
        assert client.learn(sample.tobytes(), int(label))["trained"] == 1
    assert accuracy(client) > 0.9
    assert client.save() == 1
    saved = client.read()
    client.learn(x[0].tobytes(), int(y[0]))
    board.kill()

    with QemuBoard(elf, flash) as client:
        assert client.hello()["flags"] == 3
        assert client.read() == saved
        assert accuracy(client) > 0.9
    with QemuBoard(elf) as client:
        assert client.hello()["flags"] == 1, "without the file nothing is kept"


def test_the_host_and_the_board_learn_the_same_bits(
    built: tuple[Path, dict[str, int]], tmp_path: Path
) -> None:
    if HOST_COMPILER is None:
        pytest.skip("no C++ compiler")
    x, y = blobs(25, FEATURES, CLASSES)
    images = []
    with Program(build_board(tmp_path)) as host, QemuBoard(built[0]) as board:
        for client in (host, board):
            client.hello()
            for sample, label in zip(x, y, strict=True):
                client.learn(sample.tobytes(), int(label))
            images.append(client.read())
    assert images[0] == images[1]


def test_killed_while_it_saves_it_has_the_old_or_the_new_state(
    built: tuple[Path, dict[str, int]], tmp_path: Path
) -> None:
    """QEMU is killed at some moment of a row of saves; each saved state has a count of its own."""
    flash = tmp_path / "flash"
    x, y = blobs(1, FEATURES, CLASSES)
    chance = random.Random(4)
    saved = 0
    for _ in range(4):
        board = QemuBoard(built[0], flash)
        client = board.client
        client.hello()
        samples = client.stats()["samples"]
        assert saved <= samples <= saved + 1
        saved = int(samples)
        killer = threading.Timer(0.3 + chance.random(), board.process.kill)
        killer.start()
        client.timeout = 2
        try:
            for _ in range(1000):
                client.learn(x[0].tobytes(), int(y[0]))
                client.save()
                saved += 1
            raise AssertionError("nobody killed it")
        except (TimeoutError, OSError):
            pass
        finally:
            killer.join()
            board.kill()
    assert saved > 4


def test_an_idle_board_sleeps(built: tuple[Path, dict[str, int]]) -> None:
    """Else QEMU would keep a processor busy."""
    board = QemuBoard(built[0])
    with board as client:
        client.hello()
        first, used = client.stats()["milliseconds"], board.processor_seconds()
        time.sleep(2)
        assert board.processor_seconds() - used < 1
        assert 1900 < client.stats()["milliseconds"] - first < 10_000
