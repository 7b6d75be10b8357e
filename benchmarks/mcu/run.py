"""Instruction counts, flash and RAM of the training ops on a Cortex-M4.

Builds the library with the flags of the Arduino Nano 33 BLE's core, runs it in QEMU and counts
executed instructions. They are exact and repeat exactly; they are not cycles.

    python benchmarks/mcu/run.py            measure, write results.json and docs/mcu-benchmark.md
    python benchmarks/mcu/run.py --check    measure, fail where results.json is exceeded by 3 %
    python benchmarks/mcu/run.py --tflm DIR   also inside TensorFlow Lite Micro; DIR is the Arduino
                                            library Chirale_TensorFLowLite, which takes minutes
"""

from __future__ import annotations

import argparse
import importlib
import json
import math
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
SOURCE = ROOT / "tflm_port" / "src"
QEMU_FILES = ROOT / "tests" / "cpp" / "qemu"
# Stand-ins for the headers of TensorFlow Lite Micro, enough to compile the ops.
TFLM_HEADERS = [ROOT / "tests" / "cpp" / f"tflm_{which}" for which in ("2024", "both")]
RESULTS = HERE / "results.json"
sys.path.append(str(HERE.parent))  # for results.py
PAGE = ROOT / "docs" / "mcu-benchmark.md"

COMPILER = "arm-none-eabi-g++"
C_COMPILER = "arm-none-eabi-gcc"
EMULATOR = "qemu-system-arm"
TOOLS = {
    COMPILER: "gcc-arm-none-eabi libnewlib-arm-none-eabi libstdc++-arm-none-eabi-newlib",
    "arm-none-eabi-size": "binutils-arm-none-eabi",
    EMULATOR: "qemu-system-arm",
}
CPU = ["-mcpu=cortex-m4", "-mthumb", "-mfloat-abi=softfp", "-mfpu=fpv4-sp-d16"]
#: variants/ARDUINO_NANO33BLE/cxxflags.txt of the Arduino core, without defines and warnings.
CPP_FLAGS = ["-std=gnu++14", "-fno-exceptions", "-fno-rtti"]
FLAGS = ["-Os", *CPU, "-funsigned-char"]
FLAGS += ["-ffunction-sections", "-fdata-sections", "-fomit-frame-pointer"]
LINK = [*CPU, "-nostartfiles", "-Wl,--gc-sections", "--specs=nano.specs"]

#: A count may exceed the committed one by this much.
TOLERANCE = 0.03

#: AIfES 2.2.0, float32, same compiler and -Os: instructions of an inference and a training step.
AIFES = {
    "W1": (25_652, 424_991),
    "W2": (463_668, 8_795_584),
    "W3": (760_859, 14_321_376),
    "W4": (2_701_604, 14_195_878),
}
#: RAM of the smallest measured peer library in bytes, weights included.
PEER_RAM = {"W1": 29_872, "W2": 613_360, "W3": 957_700, "W4": 123_208}
#: What AddOps leaves out, with the functions that add it.
SEPARATE = {
    "schedule of the learning rate": ["AddRateSchedule"],
    "reselection": ["AddReselection"],
    "accumulation": ["AddAccumulation"],
    "float head": ["AddFloatHead", "AddFloatHeadBackward"],
    "weights in flash": ["AddLoadWeights", "AddStoreWeights"],
    "fully connected": ["AddFullyConnected"],
    "convolutions": ["AddConv2D"],
    "convolutions, also depthwise": ["AddConv2D", "AddDepthwiseConv2D"],
}
WORKLOADS = {
    "W1": "MLP 64-32-10",
    "W2": "MLP 784-64-10",
    "W3": "MLP 561-128-64-32-16-6",
    "W4": "CNN 28x28: conv 3x3x8/2, conv 3x3x16/2, dense 10",
    "DS-CNN block": "25x5x64: depthwise 3x3, conv 1x1 64",
    "MobileNetV2 block": "12x12x16: conv 1x1 96, depthwise 3x3, conv 1x1 16",
}


class ToolError(Exception):
    """A tool is missing or has failed."""


def missing_tools() -> list[str]:
    """What has to be installed, as names of Debian packages."""
    return [packages for tool, packages in TOOLS.items() if shutil.which(tool) is None]


def command(arguments: Sequence[str | Path], timeout: float = 600) -> str:
    done = subprocess.run(
        list(map(str, arguments)),
        capture_output=True,
        text=True,
        timeout=timeout,
        stdin=subprocess.DEVNULL,
    )
    if done.returncode != 0:
        raise ToolError(f"{arguments[0]} failed:\n{done.stdout[-2000:]}{done.stderr[-2000:]}")
    return done.stdout


def compile_all(sources: Sequence[Path], folder: Path, *extra: str) -> list[Path]:
    objects = [folder / f"{number}-{path.stem}.o" for number, path in enumerate(sources)]

    def compile_one(pair: tuple[Path, Path]) -> None:
        cpp = pair[0].suffix == ".cpp"
        language = [COMPILER, *CPP_FLAGS] if cpp else [C_COMPILER, "-std=gnu11"]
        command([*language, *FLAGS, f"-I{SOURCE}", *extra, "-c", pair[0], "-o", pair[1]])

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(compile_one, zip(sources, objects, strict=True)))
    return objects


def kernel_sources() -> list[Path]:
    return sorted(SOURCE.glob("tfodl/*.cpp")) + sorted(SOURCE.glob("tfodl/kernels/*.cpp"))


def count_instructions(folder: Path) -> dict[str, float]:
    """Run the benchmark in QEMU. Names and values as bench.cpp prints them."""
    own = [HERE / "bench.cpp", HERE / "network.cpp"]
    objects = compile_all([*own, *kernel_sources()], folder)
    start = folder / "startup.o"
    command([COMPILER, "-x", "c", *CPU, "-Os", "-c", QEMU_FILES / "startup.c", "-o", start])
    program = folder / "bench.elf"
    script = ["-T", QEMU_FILES / "mps2.ld", "--specs=rdimon.specs", "-u", "_printf_float"]
    command([COMPILER, *LINK, *script, start, *objects, "-o", program])
    machine = ["-M", "mps2-an386", "-nographic", "-monitor", "none", "-serial", "none"]
    machine += ["-semihosting-config", "enable=on,target=native", "-icount", "shift=10"]
    counts: dict[str, float] = {}
    for line in command([EMULATOR, *machine, "-kernel", program]).splitlines():
        name, _, value = line.rpartition(" ")
        counts[name] = float(value) if "." in value else int(value)
    return counts


def flash_bytes(folder: Path) -> tuple[dict[str, int], dict[str, int]]:
    """Code and constants of all training ops with what they need of libgcc and libc.

    By the type of their errors; also what the functions of SEPARATE add to them.
    """
    sources = [*kernel_sources(), *sorted(SOURCE.glob("tfodl/ops/*.cpp"))]
    headers = [f"-I{path}" for path in TFLM_HEADERS]
    objects = compile_all(sources, folder, *headers)
    program = folder / "flash.elf"
    # What TensorFlow Lite Micro defines stays undefined.
    options = ["-Wl,--entry=Root", "-Wl,--unresolved-symbols=ignore-all"]
    (folder / "root").mkdir(exist_ok=True)

    def size(add_ops: str, *extra: str) -> int:
        chosen = [f"-DTFODL_ADD_OPS={add_ops}", *extra]
        root = compile_all([HERE / "flash.cpp"], folder / "root", *headers, *chosen)
        command([COMPILER, *LINK, *options, *root, *objects, "-o", program])
        return int(command(["arm-none-eabi-size", program]).splitlines()[1].split()[0])

    separate = {
        what: size("AddOps", "-DTFODL_ADD(r)=" + ",".join(f"tfodl::{add}(r)" for add in adds))
        for what, adds in SEPARATE.items()
    }
    all_ops = {"float32": size("AddOps"), "bfloat16": size("AddBfloat16Ops")}
    more = {what: bytes_ - all_ops["float32"] for what, bytes_ in separate.items()}
    return all_ops, more


def compiler_version() -> str:
    return command([COMPILER, "--version"]).splitlines()[0]


def measure(*, with_ram: bool) -> dict[str, Any]:
    """Everything that goes into results.json."""
    with tempfile.TemporaryDirectory() as folder:
        flash, separate = flash_bytes(Path(folder))
        results: dict[str, Any] = {
            "compiler": compiler_version(),
            "flags": [*CPP_FLAGS, *FLAGS],
            "counts": count_instructions(Path(folder)),
            "flash": flash,
            "flash_separate": separate,
        }
    if with_ram:
        results["arena"] = models().arena_bytes()
    return results


def models() -> Any:
    """The neighbour that needs TensorFlow, which a check does without."""
    return importlib.import_module("models")


# -- the check ------------------------------------------------------------------------------------


def regressions(now: dict[str, Any], committed: dict[str, Any]) -> list[str]:
    """What costs more than the committed results allow; a figure that is gone counts, too."""
    found = []
    pairs = [
        (f"flash with errors of {name}", now["flash"].get(name, 0), before)
        for name, before in committed["flash"].items()
    ]
    for name, before in committed["flash_separate"].items():
        pairs.append((f"flash of {name}", now["flash_separate"].get(name, 0), before))
    for name, before in committed["counts"].items():
        if not is_cost(name):
            continue
        if name not in now["counts"]:
            found.append(f"{name} is not measured any more")
            continue
        pairs.append((name, now["counts"][name], before))
    for name, after, before in pairs:
        if after > before * (1 + TOLERANCE):
            found.append(f"{name}: {after} instead of {before} ({after / before - 1:+.1%})")
    return found


def is_cost(name: str) -> bool:
    """Not a size of the problem and not a loss."""
    return not name.endswith(("_macs", ".units", ".loss_before", ".loss_after"))


# -- tables ---------------------------------------------------------------------------------------


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = ["| " + " | ".join(header) + " |", "|---" + "|---:" * (len(header) - 1) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in rows])


def number(value: float) -> str:
    return f"{value:,.0f}"


def workload_table(counts: dict[str, float]) -> str:
    rows = []
    for name, what in WORKLOADS.items():
        inference = counts[f"{name}.inference"]
        macs = counts[f"{name}.forward_macs"] + counts[f"{name}.backward_macs"]
        forward = counts[f"{name}.forward"]
        dense = forward + counts[f"{name}.dense_backward"]
        every = forward + counts[f"{name}.all_errors_backward"]
        # Without a classifier there is no output layer, and nothing is skipped.
        sparse = [
            forward + counts[f"{name}.{method}_backward"]
            for method in ("tinyprop_10_every_layer", "tinyprop_10")
            if f"{name}.{method}_backward" in counts
        ]
        ratios = [f"{number(s)} ({s / dense:.2f}, {s / every:.3f})" for s in sparse]
        skipped = forward + counts.get(f"{name}.skipped_backward", math.nan) - inference
        rows.append(
            [
                f"{name}: {what}",
                number(macs),
                f"{number(inference)} ({inference / dense:.2f})",
                f"{number(dense)} ({dense / macs:.1f})",
                f"{number(every)} ({every / macs:.1f})",
                *(ratios if len(ratios) == 2 else [*ratios, ""]),
                "" if math.isnan(skipped) else f"+{number(skipped)} ({skipped / inference:.1%})",
            ]
        )
    header = ["", "MACs", "inference (of dense)", "dense step (per MAC)", "no error zero (per MAC)"]
    header.append("TinyProp 10 % of every layer (of dense, of no error zero)")
    header.append("TinyProp 10 %, output layer dense (of dense, of no error zero)")
    return table([*header, "skipped (of inference)"], rows)


def peer_table(counts: dict[str, float]) -> str:
    rows = []
    for name, (inference, step) in AIFES.items():
        ours = counts[f"{name}.inference"]
        forward = counts[f"{name}.forward"]
        steps = [forward + counts[f"{name}.{w}_backward"] for w in ("dense", "all_errors")]
        ratios = [f"{number(s)} ({s / step:.3f})" for s in steps]
        rows.append([name, number(inference), number(ours), number(step), *ratios])
    header = ["", "AIfES: inference", "ours", "AIfES: step", "ours, dense (ratio)"]
    return table([*header, "ours, no error zero (ratio)"], rows)


def tflm_table(counts: dict[str, int]) -> str:
    """Whole calls of Invoke()."""
    rows = []
    for name, (_, step) in AIFES.items():
        inference, dense, sparse, skipped = (
            counts[f"{name}.{what}"] for what in ("inference", "dense", "tinyprop_10", "skipped")
        )
        rows.append(
            [
                f"{name}: {WORKLOADS[name]}",
                f"{number(inference)} ({inference / dense:.2f})",
                f"{number(dense)} ({dense / step:.3f})",
                f"{number(sparse)} ({sparse / dense:.2f})",
                f"{number(skipped)} ({skipped / inference - 1:+.1%})",
                number(counts[f"{name}.dense.arena"]),
            ]
        )
    header = ["", "inference, plain model (of dense)", "dense step (of AIfES)"]
    header.append("TinyProp 10 % (of dense)")
    return table([*header, "skipped step (over inference)", "arena used, bytes"], rows)


def kernel_table(counts: dict[str, float]) -> str:
    rows = []
    for name, value in counts.items():
        if name.startswith("kernel:") and name.endswith(".insn"):
            _, kernel, part = name.removesuffix(".insn").split(":")
            units = counts[f"{name.removesuffix('.insn')}.units"]
            rows.append([f"{kernel}, {part}", number(units), number(value), f"{value / units:.2f}"])
    return table(["", "MACs or elements", "instructions", "per MAC or element"], rows)


def memory_table(results: dict[str, Any]) -> str:
    rows = []
    for name, arena in results["arena"].items():
        stack = results["counts"][f"{name}.stack"]
        rows.append([name, number(arena), number(stack), number(PEER_RAM[name])])
    return table(["", "arena, bytes", "stack of the ops, bytes", "smallest peer, bytes"], rows)


def flash_text(results: dict[str, Any]) -> str:
    more = [f"{name} {number(size)}" for name, size in results["flash_separate"].items()]
    return (
        f"All training ops together: {number(results['flash']['float32'])} bytes, with errors of "
        f"bfloat16 {number(results['flash']['bfloat16'])}. "
        f"More where a graph needs it: {', '.join(more)}."
    )


def conditions(results: dict[str, Any]) -> str:
    return f"Compiler: `{results['compiler']}`; flags: `{' '.join(results['flags'])}`."


def fill_page(page: str, results: dict[str, Any]) -> str:
    """The page with all tables."""
    from results import filled

    counts = results["counts"]
    parts = {
        "conditions": conditions(results),
        "workloads": workload_table(counts),
        "peers": peer_table(counts),
        "tflm": tflm_table(results["tflm"]),
        "kernels": kernel_table(counts),
        "memory": memory_table(results),
        "flash": flash_text(results),
    }
    for name, text in parts.items():
        page = filled(page, [text], name)
    return page


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with results.json only")
    parser.add_argument("--tflm", type=Path, metavar="DIR", help="Chirale_TensorFLowLite")
    arguments = parser.parse_args()
    missing = missing_tools()
    if missing:
        print(f"needed first: apt install {' '.join(missing)}", file=sys.stderr)
        return 2
    try:
        results = measure(with_ram=not arguments.check)
        if not arguments.check:
            # What takes minutes and a library stays as it is unless it is asked for.
            results["tflm"] = json.loads(RESULTS.read_text())["tflm"]
            if arguments.tflm is not None:
                results["tflm"] = importlib.import_module("through_tflm").measure(arguments.tflm)
            RESULTS.write_text(json.dumps(results, indent=1) + "\n")
            PAGE.write_text(fill_page(PAGE.read_text(), results))
            print(workload_table(results["counts"]))
            return 0
    except ToolError as error:
        print(error, file=sys.stderr)
        return 2
    committed = json.loads(RESULTS.read_text())
    if results["compiler"] != committed["compiler"]:
        print(f"results.json is of {committed['compiler']}, this is {results['compiler']}")
    found = regressions(results, committed)
    print("\n".join(found) or "no regression")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
