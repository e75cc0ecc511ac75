"""Recordings for tests, and the process that is killed while it records."""

import sys
from collections.abc import Iterable
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from bastion.gateway.recording.cast import Header
from bastion.gateway.recording.writer import Recorder

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
PUBLIC = KEY.public_key()


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def header(session_id: str = "s-1", cols: int = 80, rows: int = 24) -> Header:
    return Header(cols, rows, 1_772_416_800.25, session_id, "web-01", "trops", "陈工", "INC-000123")


def record(directory: Path, outputs: Iterable[bytes], *, session_id: str = "s-1", seconds: float = 11.0) -> None:
    """A finished recording with a piece for each output."""
    clock = Clock()
    recorder = Recorder.open(directory, header(session_id), KEY, clock=clock)
    for output in outputs:
        recorder.output(output)
        clock.now += seconds
    recorder.close()


def main(directory: str) -> None:
    """Record for ever; each line is said on stdout once it was recorded."""
    recorder = Recorder.open(Path(directory), header(), KEY)
    number = 0
    while True:
        number += 1
        recorder.output(b"line %d %s\r\n" % (number, b"x" * (number % 900)))
        sys.stdout.write(f"{number}\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main(sys.argv[1])
