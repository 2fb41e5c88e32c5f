"""How much of a long search is made: a share of it by a seed, or all of it.

``KORE_SEARCH=7`` draws another share than that of seed 0, ``KORE_SEARCH=whole`` makes the whole search: so does
``make soak``.
"""

from __future__ import annotations

import itertools
import os
import random
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")

_ASKED = os.environ.get("KORE_SEARCH", "0")
WHOLE = _ASKED == "whole"
SEED = 0 if WHOLE else int(_ASKED)


def share_of(found: Iterable[T], *, one_in: int, name: object = "") -> Iterator[T]:
    """Yield about one in so many, and the first in any case.

    :param name: draws another share than other names do.
    """
    chance = random.Random(f"{SEED} {name}")  # noqa: S311
    for number, each in enumerate(found):
        if WHOLE or not number or not chance.randrange(one_in):
            yield each


def places(*, one_in: int, start: int = 0, name: object = "") -> Iterator[int]:
    """Yield numbers without end, about one in so many; neighbours among them.

    :param name: draws another share than other names do.
    """
    return share_of(itertools.count(start), one_in=one_in, name=name)
