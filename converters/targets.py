"""The boards an export can be made for, and what is assumed about them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tf_odl.errors import UserError


@dataclass(frozen=True)
class Processor:
    """What turns counted instructions of a Cortex-M4 into time and energy; all of it assumed.

    `instructions` is how many this processor needs for one of a Cortex-M4 with its DSP extension,
    `cycles` what one takes on average, with flash and caches, and `milliwatts` what the chip draws
    while it computes, without the rest of the board.
    """

    megahertz: float
    instructions: float
    cycles: float
    milliwatts: float

    def milliseconds(self, instructions: float) -> float:
        """What so many instructions of a Cortex-M4 take here."""
        return instructions * self.instructions * self.cycles / self.megahertz / 1000

    def microjoules(self, instructions: float) -> float:
        """What the chip draws meanwhile."""
        return self.milliseconds(instructions) * self.milliwatts


@dataclass(frozen=True)
class Target:
    """A board. All sizes are bytes.

    `flash_bytes` is what a sketch may fill, `ram_bytes` what the linker may place, `arena_bytes`
    what is left for the tensor arena, `code_bytes` the sketch without the model. `platform` is the
    Arduino core the sketches were written for, `platform_version` None for one that comes with the
    export, `platform_index` where Arduino finds it, None for its own index.
    """

    name: str
    board: str
    fqbn: str
    platform: str
    platform_version: str | None
    platform_index: str | None
    flash_bytes: int
    ram_bytes: int
    arena_bytes: int
    code_bytes: int
    processor: Processor
    notes: tuple[str, ...]
    assumptions: tuple[str, ...]


NANO33 = Target(
    name="nano33",
    board="Arduino Nano 33 BLE",
    fqbn="arduino:mbed_nano:nano33ble",
    platform="arduino:mbed_nano",
    platform_version="4.6.0",
    platform_index=None,
    flash_bytes=983_040,
    ram_bytes=261_632,
    arena_bytes=192 * 1024,
    code_bytes=240 * 1024,
    processor=Processor(megahertz=64, instructions=1, cycles=1.5, milliwatts=10),
    notes=(
        "nRF52840, Cortex-M4F, 64 MHz; convolutions use CMSIS-NN",
        "an upload erases the flash: learned weights do not survive it",
    ),
    assumptions=(
        "the mbed core, its thread stacks and the sketch keep about 63 KiB of the RAM",
        "core, TensorFlow Lite Micro and training ops take about 240 KiB of flash",
        "an instruction takes 1.5 cycles at 64 MHz",
        "the chip draws 3.3 mA at 3 V while it computes (nRF52840, 52 uA per MHz)",
    ),
)

ESP32 = Target(
    name="esp32",
    board="ESP32 Dev Module (WROOM-32)",
    fqbn="esp32:esp32:esp32",
    platform="esp32:esp32",
    platform_version="3.3.7",
    platform_index="https://espressif.github.io/arduino-esp32/package_esp32_index.json",
    flash_bytes=1_310_720,
    ram_bytes=327_680,
    arena_bytes=104 * 1024,
    code_bytes=480 * 1024,
    processor=Processor(megahertz=240, instructions=2, cycles=1.5, milliwatts=165),
    notes=(
        "Xtensa LX6, 240 MHz; plain C kernels",
        "the default partition scheme; huge_app allows 3 MB of flash",
    ),
    assumptions=(
        "the arena comes from the heap, whose largest block is about 110 KB without "
        "WiFi and Bluetooth; 104 KiB of it are used",
        "core, TensorFlow Lite Micro and training ops take about 480 KiB of flash",
        "twice the instructions of a Cortex-M4 with its DSP extension, 1.5 cycles each",
        "the chip draws 50 mA at 3.3 V while it computes, without radio",
    ),
)

QEMU = replace(
    NANO33,
    name="qemu",
    board="Cortex-M4F in QEMU (mps2-an386)",
    fqbn="tfodl:qemu:mps2",
    platform="tfodl:qemu",
    platform_version=None,
    notes=(
        "no board at hand: the same sketch and library, compiled by Arduino's tools",
        "flash, RAM and arena are limited to those of the Nano 33 BLE it stands in for",
        "time and energy in plans are the Nano's; QEMU itself takes a core of the PC, "
        "and its microseconds say nothing about a board",
        "learned weights are in a file, which survives the end of QEMU and a new sketch",
    ),
    assumptions=("as on the Nano 33 BLE, whose core takes more than the one for QEMU",),
)

TARGETS = {target.name: target for target in (NANO33, ESP32, QEMU)}


def get_target(name: str) -> Target:
    """The board of that name.

    Raises:
        UserError: there is none.
    """
    if name not in TARGETS:
        raise UserError(f"unknown target {name!r}; known are {', '.join(TARGETS)}")
    return TARGETS[name]
