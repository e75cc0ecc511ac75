"""Free TCP ports for the servers that two copies of the platform start on one machine."""

import random
import socket

# Below Linux's range for outgoing connections (32768-60999): none of them takes a port found free here meanwhile.
FIRST, LAST = 15000, 32000


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: TIME_WAIT does not count as taken
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True


_claims: dict[int, socket.socket] = {}


def claim(port: int, host: str = "127.0.0.1") -> bool:
    """A free port for as long as we live, among copies of the platform: another may start before ours is listened on.

    A name in the abstract namespace of sockets stands for it: it goes with us, however we end.
    """
    if port in _claims:
        return True
    if not is_free(port, host):
        return False
    mark = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        mark.bind(f"\0rdmp-port-{port}")
    except OSError:
        mark.close()
        return False
    _claims[port] = mark
    return True


def free_port() -> int:
    for _ in range(1000):
        port = random.randint(FIRST, LAST)  # noqa: S311  any free port will do, nothing is secret about it
        if is_free(port):
            return port
    raise OSError(f"no free port between {FIRST} and {LAST} on 127.0.0.1")
