"""What people type as a telephone number, and what can be dialled of it."""

import pytest

from accounts import phones


@pytest.mark.parametrize(
    ("typed", "number"),
    [
        ("13800138000", "13800138000"),
        ("+86 138-0013-8000", "13800138000"),
        ("０１３", ""),
        ("１３８００１３８０００", "13800138000"),
        ("0086 13800138000", "13800138000"),
        ("0571-56337786", "057156337786"),
        ("+86 571 5633 7786", "057156337786"),
        ("(010) 6555-1234", "01065551234"),
        ("400-123-4567", "4001234567"),
        ("+852 2123 4567", "+85221234567"),
        ("12345678901", ""),
        ("1380013800", ""),
        ("56337786", ""),
        ("ask the desk", ""),
        ("", ""),
        ("13800138000; DROP TABLE", ""),
    ],
)
def test_a_number_is_read_as_people_write_it(typed: str, number: str) -> None:
    assert phones.normal(typed) == number


@pytest.mark.parametrize(
    ("typed", "called", "texted"),
    [
        ("138 0013 8000", True, True),
        ("0571-56337786", True, False),
        ("4001234567", False, False),
        ("+852 2123 4567", False, False),
    ],
)
def test_not_every_number_can_be_called_and_texted(typed: str, called: bool, texted: bool) -> None:
    assert bool(phones.can_be_called(typed)) is called
    assert bool(phones.can_be_texted(typed)) is texted


def test_a_masked_number_cannot_be_dialled() -> None:
    assert phones.masked("13800138000") == "138****8000"
