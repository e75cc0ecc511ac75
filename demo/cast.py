"""Who plays in the demo, read from `demo/data/cast.json`. No Django here."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

FILE = Path(__file__).parent / "data" / "cast.json"


@dataclass(frozen=True)
class Person:
    role: str
    email: str
    name: str
    phone: str
    duties: tuple[str, ...] = ()


@dataclass(frozen=True)
class DemoCustomer:
    """A customer with its people; `robot` is its DingTalk token, `account` the name of its simulated AccessKey."""

    code: str
    name: str
    short_name: str
    contract: str
    robot: str
    account: str
    people: tuple[Person, ...]


def _person(entry: dict[str, object]) -> Person:
    duties = entry.get("duties", [])
    assert isinstance(duties, list)  # noqa: S101 - narrows the type of our own file
    return Person(str(entry["role"]), str(entry["email"]), str(entry["name"]), str(entry["phone"]), tuple(duties))


def _read() -> tuple[tuple[Person, ...], tuple[DemoCustomer, ...]]:
    cast = json.loads(FILE.read_text(encoding="utf-8"))
    customers = [
        DemoCustomer(**{**entry, "people": tuple(map(_person, entry["people"]))}) for entry in cast["customers"]
    ]
    return tuple(map(_person, cast["provider"])), tuple(customers)


PROVIDER, CUSTOMERS = _read()


def robot_secret(robot: str) -> str:
    """The signing secret of a simulated robot; it opens nothing but the simulation."""
    return "SEC" + hashlib.sha256(robot.encode()).hexdigest()
