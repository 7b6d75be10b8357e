"""Serial ports, also pseudo-terminals as QEMU opens them."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from tf_odl.errors import UserError

if TYPE_CHECKING:
    import serial

BAUD = 115_200  # without meaning on USB
_WRITE_TIMEOUT = 5.0
_POLL = 0.1


@dataclass(frozen=True)
class Port:
    """A port that could be a board."""

    address: str
    description: str


def usb_ports() -> list[Port]:
    """The USB serial ports of this computer."""
    from serial.tools import list_ports

    found = (p for p in list_ports.comports() if p.vid is not None)
    return [Port(p.device, p.description or "") for p in sorted(found, key=lambda p: p.device)]


def only_port() -> str:
    """The one USB serial port there is.

    Raises:
        UserError: there is none or more than one.
    """
    ports = usb_ports()
    if not ports:
        raise UserError("no board found on USB: connect one, or name its port with --port")
    if len(ports) > 1:
        listed = ", ".join(f"{p.address} ({p.description})" for p in ports)
        raise UserError(f"several boards: name one with --port, there are {listed}")
    return ports[0].address


class SerialLine:
    """A port as `connection.Line`.

    Raises:
        UserError: the port cannot be opened; later, it has gone.
    """

    def __init__(self, address: str, baud: int = BAUD) -> None:
        import serial

        self.address = address
        try:
            # Opening asserts DTR, without which a Nano 33 BLE does not send; a pty ignores it.
            self._port: serial.Serial = serial.serial_for_url(
                address, baudrate=baud, timeout=0, write_timeout=_WRITE_TIMEOUT, exclusive=True
            )
        except (OSError, ValueError) as error:
            raise UserError(f"{address} cannot be opened: {_reason(error)}") from error

    def read(self, timeout: float) -> bytes:
        """What has come; waits for up to `timeout` seconds for the first byte."""
        try:
            self._port.timeout = timeout
            first = self._port.read(1)
            return first + self._port.read(self._port.in_waiting) if first else b""
        except OSError as error:
            raise self._gone(error) from error

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        try:
            self._port.write(data)
        except OSError as error:
            raise self._gone(error) from error

    def close(self) -> None:
        """Give the port back."""
        self._port.close()

    def __enter__(self) -> SerialLine:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _gone(self, error: OSError) -> UserError:
        return UserError(f"{self.address}: the board has gone ({_reason(error)})")


def wait_for_port(address: str, seconds: float) -> str:
    """Wait until a port can be opened again, as after an upload; returns its address.

    A board may come back under another name: a USB port that is alone is taken for it.

    Raises:
        UserError: it does not come back.
    """
    end = time.monotonic() + seconds
    while True:
        candidates = [address, *(p.address for p in _if_alone(usb_ports()))]
        for candidate in dict.fromkeys(candidates):
            try:
                SerialLine(candidate).close()
                return candidate
            except UserError as error:
                last = error
        if time.monotonic() > end:
            raise UserError(f"the port did not come back within {seconds:g} s: {last}")
        time.sleep(_POLL)


def _if_alone(ports: list[Port]) -> list[Port]:
    return ports if len(ports) == 1 else []


def _reason(error: Exception) -> str:
    number = getattr(error, "errno", None)
    return os.strerror(number) if number else str(error)
