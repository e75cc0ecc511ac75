"""Sealed values open with their own key in their own place, and nothing that is said about them holds a key."""

import base64
import hashlib

import pytest

from accounts.vault import KeyRing, VaultError, key_id_of

KEY, OTHER = hashlib.sha256(b"key").digest(), hashlib.sha256(b"other").digest()


def text_of(*keys: tuple[str, bytes], separator: str = ",") -> str:
    return separator.join(f"{key_id}:{base64.b64encode(key).decode()}" for key_id, key in keys)


@pytest.fixture
def ring() -> KeyRing:
    return KeyRing.parse(text_of(("k1", KEY)))


@pytest.mark.parametrize("value", ["", "a", "密码 with spaces\n", "x" * 10_000])
def test_a_value_opens_where_it_was_sealed(ring: KeyRing, value: str) -> None:
    assert ring.open(ring.seal(value, bound_to="here"), bound_to="here") == value


def test_two_seals_of_one_value_have_nothing_in_common(ring: KeyRing) -> None:
    one, other = ring.seal("secret", bound_to="here"), ring.seal("secret", bound_to="here")
    assert one[4:] != other[4:]
    assert b"secret" not in one


@pytest.mark.parametrize("place", ["there", "", "her", "here ", "here|more"])
def test_a_value_does_not_open_in_another_place(ring: KeyRing, place: str) -> None:
    with pytest.raises(VaultError, match="does not open here"):
        ring.open(ring.seal("secret", bound_to="here"), bound_to=place)


def test_every_single_damaged_byte_is_noticed(ring: KeyRing) -> None:
    blob = ring.seal("secret", bound_to="here")
    for position in range(len(blob)):
        damaged = bytearray(blob)
        damaged[position] ^= 1
        with pytest.raises(VaultError):
            ring.open(bytes(damaged), bound_to="here")


def test_every_cut_is_noticed(ring: KeyRing) -> None:
    blob = ring.seal("secret", bound_to="here")
    for length in range(len(blob)):
        with pytest.raises(VaultError):
            ring.open(blob[:length], bound_to="here")


def test_a_wrapped_key_cannot_be_lent_to_another_value(ring: KeyRing) -> None:
    one, other = ring.seal("one", bound_to="here"), ring.seal("other", bound_to="here")
    wrapped_end = 2 + 2 + 60
    with pytest.raises(VaultError):
        ring.open(one[:wrapped_end] + other[wrapped_end:], bound_to="here")


def test_an_older_key_still_opens_and_a_new_value_takes_the_first(ring: KeyRing) -> None:
    both = KeyRing.parse(text_of(("k2", OTHER), ("k1", KEY)))
    assert both.open(ring.seal("secret", bound_to="here"), bound_to="here") == "secret"
    assert key_id_of(both.seal("secret", bound_to="here")) == "k2"


def test_an_unknown_key_is_named_by_its_id(ring: KeyRing) -> None:
    with pytest.raises(VaultError, match="unknown key 'k1'"):
        KeyRing.parse(text_of(("k2", OTHER))).open(ring.seal("secret", bound_to="here"), bound_to="here")


def test_the_same_id_with_another_key_does_not_open(ring: KeyRing) -> None:
    with pytest.raises(VaultError, match="does not open here"):
        KeyRing.parse(text_of(("k1", OTHER))).open(ring.seal("secret", bound_to="here"), bound_to="here")


@pytest.mark.parametrize("separator", [",", "\n", " ,\n", "\r\n"])
def test_keys_come_one_a_line_or_between_commas(separator: str) -> None:
    ring = KeyRing.parse(f"\n{text_of(('k2', OTHER), ('k1', KEY), separator=separator)}\n")
    assert ring.primary == "k2"
    assert dict(ring.keys) == {"k2": OTHER, "k1": KEY}


ENCODED = base64.b64encode(KEY).decode()


@pytest.mark.parametrize(
    "text",
    [
        ENCODED,  # the id forgotten
        f"{ENCODED}:k1",  # the wrong way round
        f"k1:{ENCODED[:-4]}",  # too short
        f"k1:{ENCODED[:-1]}!",  # not base64
        f"k1:{base64.b64encode(KEY + KEY).decode()}",  # too long
        f":{ENCODED}",  # an empty id
        f"{'k' * 33}:{ENCODED}",  # an id that does not fit its column
        f"钥匙:{ENCODED}",
        f"k1:{ENCODED},k1:{ENCODED}",  # one id twice
        f"k1={ENCODED}",
        KEY.hex(),
        "k1",
        "",
        " ,\n, ",
    ],
)
def test_a_bad_key_ring_is_refused_without_a_word_of_the_keys(text: str) -> None:
    with pytest.raises(VaultError) as caught:
        KeyRing.parse(text)
    said = str(caught.value) + repr(caught.value.__cause__)
    assert caught.value.__cause__ is None
    for secret in (ENCODED, ENCODED[:12], KEY.hex()[:12]):
        assert secret not in said


def test_a_key_ring_that_is_printed_shows_no_key(ring: KeyRing) -> None:
    assert repr(KEY)[2:12] not in repr(ring)
    assert "k1" in repr(ring)
