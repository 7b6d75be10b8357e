"""Requests and answers over a line that may lose, change or delay bytes."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from typing import Protocol

from tf_odl.board.frames import Frame, Receiver, encode
from tf_odl.board.messages import ANSWER, ERROR, EVENT, ErrorCode, Malformed, Step
from tf_odl.errors import UserError

TIMEOUT = 0.5  # seconds until a request is repeated the first time
PATIENCE = 10.0  # seconds until it is given up; a board that restarts needs a few
_QUICK_ATTEMPTS = 4  # a bad line loses frames at random; after these the board may be busy
_LONGEST_WAIT = 4.0


class NoAnswer(UserError):
    """The board did not answer: the request may have been executed or not."""


class Refused(UserError):
    """The board answered with an error: the request has not been executed."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(f"the board refuses: {message} (error {code})")
        self.code = code


class Line(Protocol):
    """A serial line, or what takes its place."""

    def read(self, timeout: float) -> bytes:
        """What has come; waits for up to `timeout` seconds for the first byte."""
        ...

    def write(self, data: bytes) -> None:
        """Send all of `data`."""
        ...


class Connection:
    """One end of a line: sends a request, repeats it until it is answered.

    A board executes a request once however often it comes, for repetitions are the same frame.

    Args:
        timeout: seconds until a request is repeated; after a few attempts the waits grow.
        patience: seconds until it is given up.
        on_text: called with what the sketch prints beside the frames.
        on_event: called with the steps that the sketch takes by itself.
    """

    def __init__(
        self,
        line: Line,
        *,
        timeout: float = TIMEOUT,
        patience: float = PATIENCE,
        on_text: Callable[[str], None] | None = None,
        on_event: Callable[[Step], None] | None = None,
    ) -> None:
        self.repeats = 0
        self._line = line
        self._timeout = timeout
        self._patience = patience
        self._on_text = on_text or (lambda text: None)
        self._on_event = on_event or (lambda step: None)
        self._receiver = Receiver()
        # Answers to an earlier program may still be on their way: theirs are other numbers.
        self._sequence = random.randrange(1 << 16)

    def request(self, kind: int, payload: bytes = b"") -> bytes:
        """The payload of the answer.

        Raises:
            NoAnswer: none came in time.
            Refused: the board answered with an error.
        """
        self._sequence = (self._sequence + 1) & 0xFFFF
        data = encode(Frame(kind, self._sequence, payload))
        end = time.monotonic() + self._patience
        wait, attempts = self._timeout, 0
        while True:
            self._line.write(data)
            answer = self._answer(kind, min(time.monotonic() + wait, end))
            if answer is not None:
                return answer
            if time.monotonic() >= end:
                raise NoAnswer(
                    f"the board did not answer for {self._patience:g} s: is it running a sketch "
                    "with TfOdl's link, and no other program using the port?"
                )
            attempts += 1
            if attempts >= _QUICK_ATTEMPTS:
                wait = min(2 * wait, _LONGEST_WAIT)
            self.repeats += 1

    def listen(self, seconds: float) -> None:
        """Pass on events and text for a while."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            self._received(left)

    def _answer(self, kind: int, end: float) -> bytes | None:
        while (left := end - time.monotonic()) > 0:
            answer = None
            for frame in self._received(left):
                if frame.sequence != self._sequence or answer is not None:
                    continue
                if frame.type == kind | ANSWER:
                    answer = frame.payload
                elif frame.type == ERROR:
                    raise _refusal(frame.payload)
            if answer is not None:
                return answer
        return None

    def _received(self, timeout: float) -> list[Frame]:
        """Answers that came within the time; events and text are passed on."""
        answers = []
        for item in self._receiver.feed(self._line.read(timeout)):
            if isinstance(item, str):
                self._on_text(item)
            elif item.type == EVENT:
                try:
                    self._on_event(Step.decode(item.payload))
                except Malformed:  # of a newer protocol
                    continue
            else:
                answers.append(item)
        return answers


def _refusal(payload: bytes) -> Refused:
    code = payload[0] if payload else 0
    known = code in ErrorCode.__members__.values()
    name = ErrorCode(code).name.lower().replace("_", " ") if known else "error"
    return Refused(code, payload[1:].decode("ascii", "replace") or name)
