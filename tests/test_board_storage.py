"""Power cuts, damage and other models: what is left in the storage of a board."""

import re
import subprocess
from pathlib import Path

import pytest
from board_client import HEADER_BYTES, Program, blobs, image
from cpp.toolchain import BOARD, DRIVERS, HOST_COMPILER, KERNELS, build, build_board

pytestmark = pytest.mark.skipif(HOST_COMPILER is None, reason="no C++ compiler")


def test_a_power_cut_at_any_byte_leaves_the_old_or_the_new_state(tmp_path: Path) -> None:
    """Of a save, a push and an erase; tests/cpp/power_cuts.cpp looks at every one."""
    assert HOST_COMPILER is not None
    program = tmp_path / "power_cuts"
    sources = [DRIVERS / "power_cuts.cpp", *KERNELS, *BOARD]
    build(HOST_COMPILER, ["-std=c++14", "-O1", *sources, "-o", program])
    done = subprocess.run([program], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
    rows = re.findall(
        r"^(\w+) after (\d) saves.*: (\d+) cuts (\d+) old (\d+) new", done.stdout, re.M
    )
    assert {found[:2] for found in rows} >= {("save", "0"), ("push", "3"), ("erase", "2")}
    flipped = re.search(r"(\d+) flipped bits found", done.stdout)
    assert flipped is not None
    image_bytes = int(flipped.group(1)) // 8
    assert image_bytes > HEADER_BYTES + 37 * 3 + 4 * 3
    for _, _, cuts, old, new in rows:
        # Every byte is erased and written once, and once nothing is cut.
        assert int(cuts) == int(old) + int(new) > 2 * image_bytes
        assert int(old) > image_bytes - 1 and int(new) >= 1


@pytest.fixture(scope="module")
def board(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_board(tmp_path_factory.mktemp("board"))


def test_what_was_saved_is_there_after_a_restart(board: Path, tmp_path: Path) -> None:
    """The file has the image of the page, its sequence number one higher with every save."""
    settings = ("--features", 20, "--classes", 3, "--storage", tmp_path / "flash")
    x, y = blobs(40, 20, 3)
    first = Program(board, *settings)
    client = first.client
    assert client.hello()["flags"] == 1
    for sample, label in zip(x[:20], y[:20], strict=True):
        client.learn(sample.tobytes(), int(label))
    assert client.save() == 1
    saved = client.read()
    client.learn(x[20].tobytes(), int(y[20]))
    assert client.save() == 2
    again = client.read()
    assert again != saved
    client.learn(x[21].tobytes(), int(y[21]))
    first.kill()

    flash = (tmp_path / "flash").read_bytes()
    model_id = int.from_bytes(saved[8:12], "little")
    assert flash.startswith(image(model_id, saved[HEADER_BYTES:], 1))
    assert flash[1 << 20 :].startswith(image(model_id, again[HEADER_BYTES:], 2))
    with Program(board, *settings) as client:
        assert client.hello()["flags"] == 3
        assert client.read() == again
        assert client.stats()["sequence"] == 2
    with Program(board, *settings, "--skip", 0.1) as client:
        assert client.hello()["flags"] == 1, "another model"
        assert client.stats()["samples"] == 0
