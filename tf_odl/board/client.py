"""A board as an object: every request of docs/protocol.md is a method."""

from __future__ import annotations

import struct
from collections.abc import Mapping

from tf_odl.board import image
from tf_odl.board.connection import Connection, Refused
from tf_odl.board.messages import (
    ErrorCode,
    Hello,
    Malformed,
    Request,
    Setting,
    Stats,
    Step,
    Tensor,
    learn_payload,
    predict_payload,
    read_payload,
    sample_payloads,
    set_payload,
    write_payloads,
)
from tf_odl.errors import UserError

_ATTEMPTS = 5
_READ_ATTEMPTS = 20
# Nothing has been executed: the sketch used the input meanwhile, or the board restarted.
_SEND_AGAIN = (ErrorCode.SAMPLE_DIFFERS, ErrorCode.OFFSET)


class Board:
    """A board that has said hello.

    Every method raises `NoAnswer` when the board is silent, `Refused` when it answers with an
    error, and `UserError` when its answer makes no sense.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.hello = self.greet()

    def greet(self) -> Hello:
        """Say hello, as after a restart of the board."""
        try:
            self.hello = Hello.decode(self._connection.request(Request.HELLO))
        except Malformed as error:
            raise _nonsense(error) from error
        return self.hello

    @property
    def repeats(self) -> int:
        """How many requests had to be sent again so far."""
        return self._connection.repeats

    def predict(self, sample: bytes) -> Step:
        """Infer on a sample, the bytes of the model's input."""
        return self._step(Request.PREDICT, {Tensor.INPUT: sample}, predict_payload(sample))

    def learn(self, sample: bytes, label: int, target: bytes | None = None) -> Step:
        """Learn from a sample.

        After `NoAnswer` the board has learned from it once or not at all, after `Refused` it has
        not.

        Args:
            sample: the bytes of the model's input.
            label: the class; 0 for a model without classes.
            target: float32 values, of a model that learns given outputs.
        """
        parts = {Tensor.INPUT: sample}
        if target is not None:
            parts[Tensor.TARGET] = target
        return self._step(Request.LEARN, parts, learn_payload(sample + (target or b""), label))

    def stats(self) -> Stats:
        """Its counters."""
        try:
            return Stats.decode(self._connection.request(Request.STATS))
        except Malformed as error:
            raise _nonsense(error) from error

    def read_image(self) -> bytes:
        """The state image of this moment.

        Raises:
            UserError: the sketch learns faster than the image can be read.
        """
        for _ in range(_READ_ATTEMPTS):
            data = self._read_once()
            if data is not None:
                image.parse(data)
                return data
        raise UserError("the board keeps learning while its weights are read: stop it, try again")

    def write_image(self, data: bytes) -> None:
        """Replace its state, in memory and in the storage, by an image of the same model."""
        for payload in write_payloads(data, self.hello.max_payload):
            self._connection.request(Request.WRITE, payload)

    def save(self) -> int:
        """Save its state; returns the sequence number."""
        return self._number(Request.SAVE)

    def load(self) -> int:
        """Go back to the saved state; returns its sequence number."""
        return self._number(Request.LOAD)

    def reset(self, *, erase: bool = False) -> None:
        """Weights and counters as exported; `erase` what was saved, too."""
        self._connection.request(Request.RESET, bytes([erase]))

    def set(self, setting: Setting, value: float) -> None:
        """Change a setting."""
        self._connection.request(Request.SET, set_payload(setting, value))

    def _step(self, kind: Request, parts: Mapping[Tensor, bytes], payload: bytes) -> Step:
        """One step; sends its sample again if a step of the sketch came in between."""
        for attempt in range(1, _ATTEMPTS + 1):
            try:
                for tensor, data in parts.items():
                    for piece in sample_payloads(tensor, data, self.hello.max_payload):
                        self._connection.request(Request.SAMPLE, piece)
                return Step.decode(self._connection.request(kind, payload))
            except Refused as error:
                if error.code not in _SEND_AGAIN or attempt == _ATTEMPTS:
                    raise
            except Malformed as error:
                raise _nonsense(error) from error
        raise AssertionError("unreachable")

    def _number(self, kind: Request) -> int:
        try:
            return int(struct.unpack("<I", self._connection.request(kind))[0])
        except struct.error as error:
            raise _nonsense(error) from error

    def _read_once(self) -> bytes | None:
        """The image, None if the board learned in between."""
        total = self.hello.image_bytes
        piece = self.hello.max_payload - 4
        data, samples = b"", None
        while len(data) < total:
            count = min(piece, total - len(data))
            answer = self._connection.request(Request.READ, read_payload(len(data), count))
            if len(answer) != 4 + count:
                raise _nonsense(f"READ: {len(answer)} bytes instead of {4 + count}")
            if samples not in (None, answer[:4]):
                return None
            samples = answer[:4]
            data += answer[4:]
        return data


def _nonsense(reason: object) -> UserError:
    return UserError(f"the board's answer makes no sense ({reason}): does it run another version?")
