"""A worker that dies: work in a forked process, which never comes back into the test that forked it."""

import os
import traceback
from collections.abc import Callable

from django.db import connection


def status_of(work: Callable[[], object]) -> int:
    """How a child ended that did this work. What it raises is printed and ends it: a child that went on would tear
    down the fixtures, the database among them, under its parent."""
    connection.close()
    child = os.fork()
    if child:
        return os.waitpid(child, 0)[1]
    try:
        work()
        os._exit(0)
    except BaseException:  # noqa: BLE001 - whatever it is, it stays here
        traceback.print_exc()
        os._exit(1)
