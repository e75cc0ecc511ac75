"""How long-lived processes let Python's collector of cycles work."""

import gc
from typing import Final

YOUNG_OBJECTS: Final = 50_000
"""A batch of a hundred hosts, or a page, is done with before so many objects were made: it dies young and costs no full
sweep."""


def sweep_less() -> None:
    """Once everything is loaded: it stays, as does what a worker remembers of series, and that is much.

    The collector would go through all of it several times a minute: a fifth of the time that polling hosts takes, and
    every twentieth page of a web process would wait a tenth of a second for it.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_OBJECTS, 20, 20)
