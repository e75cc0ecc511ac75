"""What a start can fail of, said in one sentence to the person at the terminal."""


class StartError(Exception):
    """Something outside the program stops it from starting; said in Chinese and in English, never as a trace."""

    def __init__(self, zh: str, en: str) -> None:
        super().__init__(f"{zh}\n{en}")
        self.zh = zh
        self.en = en
