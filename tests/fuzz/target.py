"""What is fuzzed: how sound input looks, what reads it, and what that may say of unsound input."""

import random
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from base.errors import AliensError
from tests.fuzz.mutation import mutated


@dataclass(frozen=True)
class Target:
    """One reader of something that comes from anywhere.

    make: returns sound inputs. feed: has one read, in a folder that is empty but for what earlier inputs left. finish:
    makes of changed bytes what is read, such as a compressed file. words: what inputs are made of. refusals: what the
    reader may raise. share: of the inputs of a round, for those that are slow.
    """

    name: str
    make: Callable[[], Sequence[bytes]]
    feed: Callable[[bytes, Path], object]
    finish: Callable[[bytes, random.Random], bytes] = lambda data, rng: data
    words: Sequence[bytes] = ()
    refusals: tuple[type[Exception], ...] = (AliensError,)
    share: float = 1.0

    @cached_property
    def seeds(self) -> Sequence[bytes]:
        """Sound inputs."""
        return self.make()

    def input(self, number: int) -> bytes:
        """Return an input by its number: the sound ones first, then changed ones, without end."""
        rng = random.Random(f"{self.name} {number}")
        if number < len(self.seeds):
            return self.finish(self.seeds[number], rng)
        return self.finish(mutated(self.seeds, rng, self.words), rng)

    def try_input(self, number: int, folder: Path) -> bool:
        """Have an input read; tell whether it was taken. Raises: whatever the reader must not raise."""
        try:
            self.feed(self.input(number), folder)
        except self.refusals as error:
            assert WORDS.search(str(error)), f"it says nothing: {error!r}"
            return False
        return True


WORDS = re.compile("[a-z]{2}")
