"""How set-up speaks to the person at the terminal: one sentence, in Chinese and in English."""

import sys


class Failure(Exception):
    def __init__(self, zh: str, en: str) -> None:
        super().__init__(f"{zh}\n{en}")


def say(zh: str, en: str) -> None:
    print(f"{zh} {en}", file=sys.stderr, flush=True)
