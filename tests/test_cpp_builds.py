"""The C++ library as an Arduino library: strict C++14, no heap, the same bits everywhere."""

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from cpp.toolchain import (
    ALL_FILES,
    ARM_COMPILER,
    BOARD,
    DRIVERS,
    HOST_COMPILER,
    KERNELS,
    LX106,
    LX106_COMPILER,
    NANO_33_BLE,
    OPS,
    PORT,
    SMALL_STACK,
    SOURCE,
    STRICT,
    TFLM,
    build,
    compile_all,
    has_picolibc,
    run_on_cortex_m4,
    run_on_lx106,
)

needs_host = pytest.mark.skipif(HOST_COMPILER is None, reason="no C++ compiler")
needs_arm = pytest.mark.skipif(ARM_COMPILER is None, reason="apt install gcc-arm-none-eabi")
needs_lx106 = pytest.mark.skipif(
    not has_picolibc(),
    reason="apt install gcc-xtensa-lx106 picolibc-xtensa-lx106-elf",
)

HEADERS = sorted(SOURCE.rglob("*.h"))
# Thin layers over headers of an Arduino core or of TFLM; test_board_arduino.py compiles them.
BACK_ENDS = [*sorted(SOURCE.glob("tfodl/arduino/*.h")), SOURCE / "tfodl" / "tflm_learner.h"]


def objects(compiler: str, folder: Path, flags: list[str], sources: list[Path]) -> list[Path]:
    """Compile the sources, which must not give a single warning."""
    done = subprocess.run(
        [compiler, f"-I{SOURCE}", *flags, "-c", *map(str, sources)],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0 and not done.stderr, done.stderr
    made = sorted(folder.glob("*.o"))
    assert len(made) == len(sources)
    return made


def without_comments(path: Path) -> str:
    text = re.sub(r"//[^\n]*", "", path.read_text())
    return re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL)


# -- compilers ------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def host_objects(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    if HOST_COMPILER is None:
        pytest.skip("no C++ compiler")
    folder = tmp_path_factory.mktemp("host")
    return objects(HOST_COMPILER, folder, ["-std=c++14", "-O2", *STRICT], [*KERNELS, *BOARD])


@pytest.fixture(scope="module")
def arm_objects(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    if ARM_COMPILER is None:
        pytest.skip("no arm-none-eabi-g++")
    folder = tmp_path_factory.mktemp("arm")
    flags = ["-std=gnu++14", *STRICT, *NANO_33_BLE, *SMALL_STACK]
    return objects(ARM_COMPILER, folder, flags, [*KERNELS, *BOARD])


def test_the_host_compiles_strict_cpp14(host_objects: list[Path]) -> None:
    assert {path.stem for path in host_objects} >= {"options", "layer_step", "sparsify"}


def test_the_nano_33_ble_compiles_it(arm_objects: list[Path]) -> None:
    assert arm_objects


@needs_lx106
def test_an_lx106_compiles_it(tmp_path: Path) -> None:
    """The compiler has no C++ library, not even its headers."""
    assert LX106_COMPILER is not None
    flags = ["-std=c++14", *STRICT, *LX106, *SMALL_STACK]
    objects(LX106_COMPILER, tmp_path, flags, [*KERNELS, *BOARD])


GENERATIONS = {
    "bridge": ["-DTFODL_HOST_BRIDGE=1"],
    **{f"tflm {year}": flags for year, flags in TFLM.items()},
}
BOARDS = [
    pytest.param(HOST_COMPILER, [], id="host", marks=needs_host),
    pytest.param(ARM_COMPILER, [*NANO_33_BLE, *SMALL_STACK], id="cortex-m4", marks=needs_arm),
    pytest.param(LX106_COMPILER, [*LX106, *SMALL_STACK], id="lx106", marks=needs_lx106),
]


@pytest.mark.parametrize("generation", GENERATIONS)
@pytest.mark.parametrize(("compiler", "flags"), BOARDS)
def test_the_ops_compile_against_every_generation_of_tflm(
    tmp_path: Path, compiler: str, flags: list[str], generation: str
) -> None:
    """The TFLM folders are stand-ins for its headers, which no package has."""
    sources = [*OPS] if generation == "bridge" else [*OPS, DRIVERS / "sketch.cpp"]
    objects(compiler, tmp_path, ["-std=c++14", *STRICT, *flags, *GENERATIONS[generation]], sources)


@needs_host
def test_the_ops_compile_against_the_real_tflm(tmp_path: Path) -> None:
    """TFODL_TFLM_FLAGS="-I..." has what the compiler needs to find TFLM's headers."""
    flags = os.environ.get("TFODL_TFLM_FLAGS", "").split()
    if not flags:
        pytest.skip("TFODL_TFLM_FLAGS does not say where TFLM's headers are")
    assert HOST_COMPILER is not None
    done = compile_all(HOST_COMPILER, [*flags, "-fsyntax-only", *OPS, DRIVERS / "sketch.cpp"])
    assert done.returncode == 0, done.stderr


@needs_host
def test_missing_tflm_headers_are_an_error() -> None:
    assert HOST_COMPILER is not None
    done = compile_all(HOST_COMPILER, ["-std=c++14", "-fsyntax-only", OPS[0]])
    assert done.returncode != 0 and "tensorflow/lite" in done.stderr


@needs_host
def test_every_header_stands_alone(tmp_path: Path) -> None:
    assert HOST_COMPILER is not None
    sources = []
    for number, header in enumerate(path for path in HEADERS if path not in BACK_ENDS):
        source = tmp_path / f"header{number}.cpp"
        include = f'#include "{header.relative_to(SOURCE).as_posix()}"\n'
        source.write_text(include + include)
        sources.append(source)
    flags = ["-std=c++14", *STRICT, "-DTFODL_HOST_BRIDGE=1", "-fsyntax-only"]
    build(HOST_COMPILER, [*flags, *sources])


# -- what the code may use ------------------------------------------------------------------------


def undefined_symbols(paths: list[Path], nm: str) -> set[str]:
    """Names that the objects need and none of them defines."""
    needed: set[str] = set()
    defined: set[str] = set()
    listing = subprocess.run([nm, *paths], capture_output=True, text=True, check=True).stdout
    assert "_GLOBAL__sub_I" not in listing, "a global has a constructor that runs before main()"
    for line in listing.splitlines():
        found = re.match(r"[0-9a-f ]* ([A-Za-z]) (.*)$", line)
        if found is not None:
            (needed if found.group(1) == "U" else defined).add(found.group(2))
    assert defined
    return needed - defined


@pytest.mark.skipif(shutil.which("nm") is None, reason="no nm")
def test_the_kernels_need_no_libraries(host_objects: list[Path]) -> None:
    """No heap, exceptions, libm or output: only what a compiler may always call."""
    allowed = {"memcpy", "memset", "memmove", "memcmp", "_GLOBAL_OFFSET_TABLE_", "__stack_chk_fail"}
    assert undefined_symbols(host_objects, "nm") <= allowed


@needs_host
@pytest.mark.skipif(shutil.which("nm") is None, reason="no nm")
def test_the_ops_need_only_tflm(tmp_path: Path) -> None:
    """Memory comes from TFLM's arena alone: there is no malloc and no operator new to call."""
    assert HOST_COMPILER is not None
    flags = ["-std=c++14", "-O2", *STRICT, "-DTFODL_HOST_BRIDGE=1"]
    needed = undefined_symbols(objects(HOST_COMPILER, tmp_path, flags, OPS), "nm")
    ours = {name for name in needed if name.startswith("_ZN5tfodl")}
    assert needed - ours <= {"memcpy", "memset", "memmove", "_GLOBAL_OFFSET_TABLE_"}
    assert any("AllocatePersistent" in name for name in ours)


@pytest.mark.skipif(shutil.which("arm-none-eabi-nm") is None, reason="no arm-none-eabi-nm")
def test_the_kernels_need_only_the_compiler_on_arm(arm_objects: list[Path]) -> None:
    """64-bit arithmetic is a call there. Doubles would be calls too, and slow: there are none."""
    needed = undefined_symbols(arm_objects, "arm-none-eabi-nm")
    helpers = {name for name in needed if name.startswith("__aeabi_")}
    assert needed - helpers <= {"memcpy", "memset", "memmove", "memcmp"}
    assert not [name for name in helpers if re.match(r"__aeabi_(d|.*2d$)", name)]


@pytest.mark.skipif(shutil.which("arm-none-eabi-objdump") is None, reason="no objdump")
def test_no_multiply_add_is_fused(arm_objects: list[Path]) -> None:
    """The processor has vfma, which rounds once where the contract rounds twice."""
    text = subprocess.run(
        ["arm-none-eabi-objdump", "-d", *arm_objects], capture_output=True, text=True, check=True
    ).stdout
    assert "vmul.f32" in text
    assert not re.findall(r"\tvfn?m[as]\S*", text)


@needs_arm
def test_without_the_float_contract_it_would_be_fused(tmp_path: Path) -> None:
    """Else the test above would show nothing."""
    assert ARM_COMPILER is not None
    source = tmp_path / "fused.cpp"
    source.write_text("float f(float a, float b, float c) { return a * b + c; }\n")
    build(ARM_COMPILER, ["-std=gnu++14", *NANO_33_BLE, "-S", source, "-o", tmp_path / "fused.s"])
    assert "vfma.f32" in (tmp_path / "fused.s").read_text()


FORBIDDEN = {
    # A sketch must not fail hours after its start because the heap is fragmented.
    "the heap": r"\bnew\b|\bdelete\b(?!;)|\b(malloc|calloc|realloc|free)\s*\(",
    # Arduino cores compile without them.
    "exceptions or type information": r"\b(throw|try|catch|dynamic_cast|typeid)\b",
    # Containers and streams allocate and are large; math.h differs between platforms.
    "the C++ library": r"#include <(?!std(int|def)\.h>|string\.h>|Chirale)",
    # Its macros (abs, min, max, F) break headers, and the library has to run without it.
    "Arduino.h": r"Arduino\.h|\bSerial\b",
}


@pytest.mark.parametrize("what", FORBIDDEN)
def test_the_library_does_without(what: str) -> None:
    """All memory comes from TFLM's arena while the model is set up (AllocatePersistent)."""
    found = [
        f"{path.relative_to(SOURCE)}: {match.group(0)}"
        for path in ALL_FILES
        if path not in BACK_ENDS
        for match in re.finditer(FORBIDDEN[what], without_comments(path), re.MULTILINE)
    ]
    assert not found


def test_memory_is_asked_for_while_the_model_is_set_up_only() -> None:
    """AllocatePersistent is called from Init; TFLM refuses it later, with a crash or null."""
    callers = {}
    for path in OPS:
        text = without_comments(path)
        if "AllocatePersistent(" in text:
            heads = re.finditer(
                r"^\w[^;{}]*\{(?=((?!^\}).)*AllocatePersistent\()", text, re.M | re.S
            )
            callers[path.name] = [head.group(0) for head in heads]
    assert callers.keys() == {"op.cpp", "seed.cpp"}
    for functions in callers.values():
        (function,) = functions
        assert re.match(r"void\* Init(OpData)?\(", function)


@pytest.mark.parametrize(
    "source", [path for path in KERNELS if "float" in path.read_text()], ids=lambda p: p.name
)
def test_the_float_contract_is_included(source: Path) -> None:
    """By the source itself or by a header of the library that it includes."""
    seen: set[Path] = set()
    waiting = [source]
    while waiting:
        path = waiting.pop()
        if path not in seen:
            seen.add(path)
            waiting += [SOURCE / name for name in re.findall(r'#include "(.*)"', path.read_text())]
    assert SOURCE / "tfodl" / "float_contract.h" in seen


# -- rules for Arduino libraries -----------------------------------------------------------------


def properties() -> dict[str, str]:
    lines = (PORT / "library.properties").read_text().splitlines()
    return dict(line.split("=", 1) for line in lines)


def test_library_properties_are_complete() -> None:
    """The rules of arduino-lint; `url` waits for a home of the project (CONTRIBUTING.md)."""
    fields = properties()
    required = {"name", "version", "author", "maintainer", "sentence", "paragraph", "category"}
    assert fields.keys() >= required | {"url", "architectures"}
    assert all(value for field, value in fields.items() if field != "url")
    known = required | {"url", "architectures", "includes", "depends"}
    assert fields.keys() <= known, "a misspelled field is ignored"
    assert all(value == value.strip() for value in fields.values())
    assert re.fullmatch(r"[A-Za-z][A-Za-z0-9_.-]{0,62}", fields["name"])
    assert not re.search("arduino|library", fields["name"], re.IGNORECASE)
    assert re.fullmatch(r"\d+\.\d+\.\d+", fields["version"])
    assert fields["category"] in {
        "Communication",
        "Data Processing",
        "Data Storage",
        "Device Control",
        "Display",
        "Other",
        "Sensors",
        "Signal Input/Output",
        "Timing",
    }
    assert not fields["url"] or fields["url"].startswith("https://")
    # Those that our boards have; the check is for their spelling.
    assert set(fields["architectures"].split(",")) <= {"*", "mbed_nano", "esp32", "esp8266"}
    assert fields["sentence"] not in fields["paragraph"]
    assert fields["depends"] == "Chirale_TensorFLowLite"  # sic: that is how it is registered


def test_the_library_has_one_header_with_its_name() -> None:
    fields = properties()
    assert fields["includes"] == "TfOdl.h" == f"{fields['name']}.h"
    assert [path.name for path in SOURCE.glob("*") if path.is_file()] == ["TfOdl.h"]


def test_the_version_is_that_of_the_package() -> None:
    package = (PORT.parent / "pyproject.toml").read_text()
    assert f'\nversion = "{properties()["version"]}"\n' in package


def test_the_folder_is_one_that_arduino_takes() -> None:
    """The whole of src/ is compiled recursively; utility/ next to it would be, too."""
    assert not (PORT / "utility").exists() and not (SOURCE / "utility").exists()
    assert not any(path.is_symlink() for path in PORT.rglob("*"))
    assert not list(PORT.rglob("*.exe")) and not (PORT / ".gitmodules").exists()
    assert {path.name.lower() for path in PORT.iterdir()}.isdisjoint({"extra", "example"})
    assert {path.name for path in PORT.iterdir()} >= {"src", "examples", "LICENSE", "README.md"}
    sketches = {path.relative_to(PORT).parts[0] for path in PORT.rglob("*.ino")}
    assert sketches == {"examples"}
    assert {path.suffix for path in ALL_FILES} == {".h", ".cpp"}
    assert not (PORT / ".development").exists()


def test_keywords_are_words_of_the_library() -> None:
    code = "\n".join(without_comments(path) for path in HEADERS)
    lines = (PORT / "keywords.txt").read_text().splitlines()
    assert len(lines) == len(set(lines))
    for line in lines:
        word, kind = line.split("\t")
        assert kind in ("KEYWORD1", "KEYWORD2", "LITERAL1")
        if word != properties()["name"]:
            assert re.search(rf"\b{word}\b", code), word


def test_include_guards_are_unique() -> None:
    guards = [re.search(r"#ifndef (TFODL\w*_H_)\n#define \1\n", p.read_text()) for p in HEADERS]
    names = [guard.group(1) for guard in guards if guard is not None]
    assert len(names) == len(set(names)) == len(HEADERS)


# -- the same bits everywhere --------------------------------------------------------------------


def host_hash(folder: Path, *flags: str) -> str:
    assert HOST_COMPILER is not None
    program = folder / "steps"
    build(HOST_COMPILER, [*flags, DRIVERS / "steps.cpp", *KERNELS, "-o", program])
    return subprocess.run([program], capture_output=True, text=True, check=True, timeout=60).stdout


@pytest.fixture(scope="module")
def reference_hash(tmp_path_factory: pytest.TempPathFactory) -> str:
    if HOST_COMPILER is None:
        pytest.skip("no C++ compiler")
    printed = host_hash(tmp_path_factory.mktemp("steps"), "-std=c++14", "-O0")
    counts = re.findall(r"(\d+) trained, (\d+) skipped, (\d+) saturated", printed)
    assert len(counts) == 2, "one network for each update rule"
    for trained, skipped, saturated in counts:
        assert int(trained) > 50 and int(skipped) > 10 and int(saturated) > 10
    return printed


@pytest.mark.parametrize("flags", ["-std=c++14 -O2", "-std=gnu++14 -O3 -march=native"])
def test_optimization_changes_no_bit(tmp_path: Path, reference_hash: str, flags: str) -> None:
    """On a processor with FMA the second one would fuse, were it not forbidden."""
    if "native" in flags and platform.machine() != "x86_64":
        pytest.skip("-march=native is for x86 here")
    assert host_hash(tmp_path, *flags.split()) == reference_hash


@pytest.mark.parametrize("optimization", ["-O0", "-Os", "-O3"])
def test_a_cortex_m4_changes_no_bit(tmp_path: Path, reference_hash: str, optimization: str) -> None:
    """1000 steps of every kind of layer by every update rule, 300 random layers, bare updates."""
    sources = [DRIVERS / "steps.cpp", *KERNELS]
    assert run_on_cortex_m4(tmp_path, sources, [optimization]) == reference_hash


def test_an_lx106_changes_no_bit(tmp_path: Path, reference_hash: str) -> None:
    """Where every float operation is a function, and unaligned accesses end the program."""
    assert run_on_lx106(tmp_path, [DRIVERS / "steps.cpp", *KERNELS], []) == reference_hash
