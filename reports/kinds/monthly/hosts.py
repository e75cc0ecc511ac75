"""Being written in its own branch."""

from reports.blocks import Part
from reports.kinds.asking import Asked


def read(asked: Asked) -> Part:
    return Part("hosts", "hosts")
