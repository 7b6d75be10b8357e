"""The models as C arrays, for a sketch."""

from __future__ import annotations

_BYTES_PER_LINE = 16

_TEMPLATE = """\
/* Written by tf-odl export: the int8 model and its training graph. */
#ifndef {guard}
#define {guard}

#if defined(__cplusplus)
#define TFODL_ALIGN_16 alignas(16)
#else
#define TFODL_ALIGN_16 _Alignas(16)
#endif

{arrays}
#endif /* {guard} */
"""


def model_header(models: dict[str, bytes], guard: str = "TFODL_MODEL_DATA_H_") -> str:
    """C11 and C++14 source with a 16-byte aligned constant array for each model.

    `models` maps the names of the arrays to their bytes; `<name>_len` is the size of each.
    """
    arrays = "\n".join(_array(name, data) for name, data in models.items())
    return _TEMPLATE.format(guard=guard, arrays=arrays)


def _array(name: str, data: bytes) -> str:
    lines = [
        "    " + ",".join(f"0x{byte:02x}" for byte in data[start : start + _BYTES_PER_LINE]) + ",\n"
        for start in range(0, len(data), _BYTES_PER_LINE)
    ]
    return (
        f"TFODL_ALIGN_16 static const unsigned char {name}[] = {{\n{''.join(lines)}}};\n"
        f"static const unsigned int {name}_len = {len(data)};\n"
    )
