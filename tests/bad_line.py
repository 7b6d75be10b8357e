"""A serial line that damages what it carries."""

import random


class Noise:
    """Drops, flips and inserts each byte with a probability of `rate`, one of the three."""

    def __init__(self, seed: int, rate: float) -> None:
        self.random, self.rate = random.Random(seed), rate

    def __call__(self, data: bytes) -> bytes:
        out = bytearray()
        for byte in data:
            chance = self.random.random() / self.rate
            if chance < 0.4:
                continue
            if chance < 0.8:
                byte ^= 1 << self.random.randrange(8)
            elif chance < 1:
                out.append(self.random.randrange(256))
            out.append(byte)
        return bytes(out)
