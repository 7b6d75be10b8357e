"""Samples taught one by one, with an account of every one of them."""

from __future__ import annotations

from dataclasses import dataclass

from tf_odl.board.client import Board
from tf_odl.board.connection import NoAnswer, Refused
from tf_odl.board.messages import ErrorCode, Step

# Other samples may fare better.
_OF_THIS_SAMPLE = (ErrorCode.SAMPLE_DIFFERS, ErrorCode.OFFSET, ErrorCode.STEP_FAILED)


@dataclass(frozen=True)
class Account:
    """What became of the samples; `taught` = `confirmed` + `unanswered` + `lost`.

    `forgotten` are those of the confirmed that the board lost again when it restarted;
    `own` are further steps that the board counts, of the sketch itself.
    """

    taught: int
    confirmed: int
    unanswered: int  # learned, but the answer never came
    lost: int
    forgotten: int
    restarts: int
    own: int


class Lesson:
    """Teaches a board: every sample is learned once or reported as lost."""

    def __init__(self, board: Board) -> None:
        self._board = board
        self._expected = board.stats().samples
        self._confirmed = self._unanswered = self._lost = 0
        self._forgotten = self._restarts = self._own = 0
        self._under_way = False

    def learn(self, sample: bytes, label: int, target: bytes | None = None) -> Step | None:
        """Teach one sample; None if it is lost or its answer never came.

        Raises:
            NoAnswer: the board has gone; the sample is lost.
            Refused: nothing like this sample will ever be taken, such as a label out of range.
        """
        self._under_way = True
        step = self._learn(sample, label, target)
        self._under_way = False
        return step

    def _learn(self, sample: bytes, label: int, target: bytes | None) -> Step | None:
        try:
            step = self._board.learn(sample, label, target)
        except NoAnswer:
            self._look_for_sample()
            return None
        except Refused as error:
            self._lost += 1
            if error.code not in _OF_THIS_SAMPLE:
                raise
            return None
        self._confirmed += 1
        self._expected += 1
        return step

    def account(self) -> Account:
        """Compare with what the board counts; also after an interrupt in the middle of a sample."""
        samples = self._board.stats().samples
        if self._under_way and samples == self._expected + 1:
            self._unanswered += 1
            self._expected = samples
        self._under_way = False
        self._compare(samples)
        return Account(
            taught=self._confirmed + self._unanswered + self._lost,
            confirmed=self._confirmed,
            unanswered=self._unanswered,
            lost=self._lost,
            forgotten=self._forgotten,
            restarts=self._restarts,
            own=self._own,
        )

    def _look_for_sample(self) -> None:
        """After silence: has the last sample been learned or not?"""
        try:
            self._board.greet()
            samples = self._board.stats().samples
        except NoAnswer:
            self._lost += 1
            raise
        if samples == self._expected + 1:
            self._unanswered += 1
            self._expected = samples
        else:
            self._lost += 1
            self._compare(samples)

    def _compare(self, samples: int) -> None:
        if samples < self._expected:
            self._forgotten += self._expected - samples
            self._restarts += 1
        else:
            self._own += samples - self._expected
        self._expected = samples
