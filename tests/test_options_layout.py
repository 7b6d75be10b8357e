"""The option structs of both halves and of the contract are the same, field by field."""

import ctypes
import re
from pathlib import Path

import kernel_harness as harness
import numpy as np
import pytest

from tf_odl import contract
from tf_odl.converters import options
from tf_odl.tflm_port import state

CONTRACT = Path(__file__).resolve().parents[1] / "docs" / "training-graph.md"
STRUCTS = [
    "SeedOptions",
    "XentOptions",
    "LayerOptions",
    "PoolOptions",
    "AddOptions",
    "CropOptions",
    "LossOptions",
    "ReselectOptions",
    "RateOptions",
    "AccumulateOptions",
    "FloatHeadOptions",
    "ConvOptions",
    "FullyConnectedOptions",
]


class Field(ctypes.Structure):
    _fields_ = [
        ("options", ctypes.c_char_p),
        ("name", ctypes.c_char_p),
        ("offset", ctypes.c_uint32),
        ("word", ctypes.c_char_p),
    ]


def compiled_layout(struct: str) -> list[tuple[str, int, str]]:
    """(name, offset, word) of a struct in options.h."""
    harness.library.tfodl_option_fields.restype = ctypes.POINTER(Field)
    fields = harness.library.tfodl_option_fields()[: harness.library.tfodl_option_field_count()]
    return [
        (f.name.decode(), f.offset, f.word.decode()) for f in fields if f.options == struct.encode()
    ]


def documented_layout(struct: str) -> list[tuple[str, int, str]]:
    """(name, offset, word) as docs/training-graph.md lists them: "u32 in_h, in_w, f32 x_scale"."""
    text = CONTRACT.read_text()
    body = re.search(rf"`{struct}`: (.*?)(?:\n\n|;|\.\n)", text, re.DOTALL)
    assert body is not None
    fields = []
    word = ""
    for item in re.sub(r"\([^)]*\)", "", body.group(1)).rstrip(".").split(","):
        parts = item.split()
        if len(parts) == 2:
            word = parts[0]
        fields.append((parts[-1], 4 * len(fields), word))
    return fields


@pytest.mark.parametrize("struct", STRUCTS)
def test_cpp_equals_the_contract(struct: str) -> None:
    assert compiled_layout(struct) == documented_layout(struct)


@pytest.mark.parametrize("struct", STRUCTS)
def test_cpp_equals_python(struct: str) -> None:
    assert compiled_layout(struct) == getattr(options, struct).layout()


def test_the_versions_are_equal() -> None:
    assert harness.library.tfodl_abi_version() == contract.ABI_VERSION


def test_the_sizes_of_state_and_report_are_equal() -> None:
    assert harness.library.tfodl_state_words() == contract.STATE_WORDS
    assert harness.library.tfodl_report_floats() == contract.REPORT_FLOATS


def test_the_state_has_the_documented_words() -> None:
    rows = re.findall(r"^\| (\d+)(?:, \d+)? \| (\w+) \|", CONTRACT.read_text(), re.MULTILINE)
    documented = {name: int(word) for word, name in rows}
    words = np.arange(1, contract.STATE_WORDS + 2, dtype=np.uint32)
    words[[2, 13, 15, 16]] = np.array([2.5, 13.5, 15.5, 16.5], np.float32).view(np.uint32)
    decoded = state.State.from_bytes(words.tobytes())
    counts = ("samples", "trained", "skipped", "non_finite", "saturated", "reselections")
    for name in ("sentinel", "rng", *counts):
        assert getattr(decoded, name) == documented[name] + 1
    assert documented["learning_rate"] == 2 and decoded.learning_rate == 2.5
    assert documented["alpha_max"] == 13 and decoded.alpha_max == 13.5
    assert documented["rate_factor"] == 15 and decoded.rate_factor == 15.5
    assert decoded.y_max == (16.5,)
    for name in ("backward_macs", "backward_macs_nonzero"):
        low = documented[name]
        assert getattr(decoded, name) == (low + 1) | (low + 2) << 32
