"""Training steps inside TensorFlow Lite Micro, as an Arduino sketch would run them.

Builds Chirale_TensorFLowLite (the Arduino library that holds TensorFlow Lite Micro and CMSIS-NN)
for a Cortex-M4 together with the training ops, and counts the instructions of whole Invoke() calls.
"""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import models
from run import CPU, EMULATOR, HERE, LINK, QEMU_FILES, SOURCE, ToolError, command
from run import compile_all as compile_cpp

#: Parts of the library that need a board.
LEFT_OUT = {"system_setup.cpp", "micro_time.cpp", "utility_arduino.cpp", "debug_log.cpp"}
#: The include guard of the header for sketches, which would include Arduino.h.
SKETCH_HEADER = "TENSORFLOW_LITE_MICRO_TOOLS_MAKE_TEMPLATES_TENSORFLOWLITE_H_"


#: The forward ops of the workloads; a sketch would compile all and link these.
KERNELS = ("conv", "fully_connected", "kernel_util", "micro_tensor_utils", "reshape")


def library_sources(library: Path) -> list[Path]:
    found = [p for p in sorted((library / "src").rglob("*.c*")) if p.name not in LEFT_OUT]
    if not found:
        raise ToolError(f"{library} is not the Arduino library Chirale_TensorFLowLite")

    def is_needed(path: Path) -> bool:
        if "test" in path.name or "mock" in path.name or "all_ops" in path.name:
            return False
        is_op = {"micro", "kernels"} <= set(path.parts)
        return not is_op or path.stem.removesuffix("_common") in KERNELS

    return [path for path in found if is_needed(path)]


def write_models(folder: Path) -> None:
    """models.h: the plain models, and the training graphs of all methods."""
    text = [
        "#include <stdint.h>",
        "struct Model { const char* name; const uint8_t* data; bool trains; };",
    ]
    rows = []
    for workload in models.WORKLOADS:
        for method in models.METHODS:
            out = folder / f"{workload}-{method}"
            models.export_to(workload, method, out)
            if method == "dense":
                rows.append((f"{workload}.inference", out / "model.tflite", "false"))
            rows.append((f"{workload}.{method}", out / "model_train.tflite", "true"))
    names = []
    for number, (name, path, trains) in enumerate(rows):
        data = ",".join(map(str, path.read_bytes()))
        text.append(f"alignas(16) const uint8_t kData{number}[] = {{{data}}};")
        names.append(f'{{"{name}", kData{number}, {trains}}}')
    text.append(f"const Model kModels[] = {{{', '.join(names)}}};")
    (folder / "models.h").write_text("\n".join(text) + "\n")


def compile_with(library: Path, program: Path, folder: Path) -> list[Path]:
    """A program, the training ops and the library. Only the library is compiled as for Arduino:
    the headers of TfOdl would include Arduino.h."""
    includes = [f"-I{library / 'src'}", f"-I{library / 'src/third_party/flatbuffers/include'}"]
    includes += [f"-I{p}" for p in (library / "src/third_party").iterdir() if p.is_dir()]
    options = ["-DCMSIS_NN", f"-D{SKETCH_HEADER}", "-w", f"-I{HERE}", f"-I{folder}", *includes]
    theirs = folder / "library"
    theirs.mkdir()
    objects = compile_cpp(library_sources(library), theirs, "-DARDUINO=10819", *options)
    return objects + compile_cpp([program, *sorted(SOURCE.rglob("*.cpp"))], folder, *options)


def measure(library: Path) -> dict[str, int]:
    """Names and instructions; names with .arena are bytes."""
    folder = Path(tempfile.mkdtemp())
    try:
        write_models(folder)
        objects = compile_with(library, HERE / "through_tflm.cpp", folder)
        start = folder / "startup.o"
        command(["arm-none-eabi-gcc", *CPU, "-Os", "-c", QEMU_FILES / "startup.c", "-o", start])
        program = folder / "tflm.elf"
        script = ["-T", QEMU_FILES / "mps2.ld", "--specs=rdimon.specs"]
        command(["arm-none-eabi-g++", *LINK, *script, start, *objects, "-o", program])
        machine = ["-M", "mps2-an386", "-nographic", "-monitor", "none", "-serial", "none"]
        machine += ["-semihosting-config", "enable=on,target=native", "-icount", "shift=10"]
        lines = command([EMULATOR, *machine, "-kernel", program]).splitlines()
        return {name: int(value) for name, _, value in (line.rpartition(" ") for line in lines)}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
