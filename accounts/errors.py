"""The one exception that carries a sentence for the person in front of the screen."""


class DomainError(Exception):
    """A rule of the business said no.

    The message is translated, says what happened, what was kept and what to do; the middleware and the API show it in
    one place each. `code` is for machines.
    """

    def __init__(self, message: str, *, code: str = "refused") -> None:
        super().__init__(message)
        self.message = str(message)
        self.code = code
