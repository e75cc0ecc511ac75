"""The link by which one person decides on one level: signed, for them alone, stored nowhere."""

from typing import Final

from django.core import signing

SALT: Final = "changes.decide"


def token_of(level_id: int, person_id: int) -> str:
    """What the mailed link carries; it is worth something only while the level is open."""
    return signing.dumps([level_id, person_id], salt=SALT)


def read_token(token: str) -> tuple[int, int] | None:
    """The numbers of level and person in a link; None when it is not ours."""
    try:
        level_id, person_id = signing.loads(token, salt=SALT)
    except (signing.BadSignature, TypeError, ValueError):
        return None
    return int(level_id), int(person_id)
