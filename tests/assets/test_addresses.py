"""Hosts and URLs as people type them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from assets.addresses import AddressError, clean_host, clean_url, host_of, is_own_machine


@pytest.mark.parametrize(
    ("typed", "tidy"),
    [
        (" Shop.Example. ", "shop.example"),
        ("10.0.0.8", "10.0.0.8"),
        ("[2001:DB8::1]", "2001:db8::1"),
        ("::ffff:10.0.0.8", "10.0.0.8"),
        ("商城.example", "xn--czru2d.example"),
        ("db_1", "db_1"),
    ],
)
def test_a_host_becomes_tidy(typed: str, tidy: str) -> None:
    assert clean_host(typed) == tidy


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("", "empty"),
        ("not a host", "malformed"),
        ("-dash.example", "malformed"),
        ("a..b", "malformed"),
        ("x" * 64 + ".example", "malformed"),
        ("shop.example:80", "malformed"),
        ("shop.example/path", "malformed"),
        ("2130706433", "number"),
        ("0x7f000001", "number"),
        ("127.1", "number"),
        ("999.1.1.1", "number"),
        ("169.254.169.254", "forbidden"),
        ("::ffff:169.254.169.254", "forbidden"),
        ("100.100.100.200", "forbidden"),
        ("0.0.0.0", "forbidden"),
        ("224.0.0.1", "forbidden"),
        ("fe80::1", "forbidden"),
        ("metadata.google.internal", "forbidden"),
    ],
)
def test_what_is_no_host_is_refused(typed: str, code: str) -> None:
    with pytest.raises(AddressError) as refused:
        clean_host(typed)

    assert refused.value.code == code


@pytest.mark.parametrize(
    ("typed", "tidy"),
    [
        ("https://Shop.Example", "https://shop.example/"),
        ("HTTP://shop.example:8080/a?b=1#c", "http://shop.example:8080/a?b=1#c"),
        ("https://[2001:db8::1]:8443/", "https://[2001:db8::1]:8443/"),
    ],
)
def test_a_url_becomes_tidy(typed: str, tidy: str) -> None:
    assert clean_url(typed) == tidy


@pytest.mark.parametrize(
    ("typed", "code"),
    [
        ("shop.example", "scheme"),
        ("file:///etc/passwd", "scheme"),
        ("javascript:alert(1)", "scheme"),
        ("https://user:secret@shop.example/", "userinfo"),
        ("https:///path", "empty"),
        ("https://shop.example:99999/", "malformed"),
        ("https://shop.example\\@evil.example/", "malformed"),
        ("https://shop.example/a b", "malformed"),
        ("http://169.254.169.254/latest/meta-data", "forbidden"),
        ("http://0x7f.1/", "number"),
    ],
)
def test_what_is_no_url_is_refused(typed: str, code: str) -> None:
    with pytest.raises(AddressError) as refused:
        clean_url(typed)

    assert refused.value.code == code


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "::ffff:127.0.0.1", "localhost", "a.localhost"])
def test_the_platforms_own_machine_is_recognised(host: str) -> None:
    assert is_own_machine(host)
    assert not is_own_machine("10.0.0.8")


@given(st.text(max_size=60))
def test_whatever_is_typed_gives_an_address_or_a_reason(typed: str) -> None:
    try:
        host = clean_host(typed)
    except AddressError:
        return
    assert clean_host(host) == host


@given(st.text(max_size=60))
def test_whatever_follows_a_scheme_gives_a_url_or_a_reason(rest: str) -> None:
    try:
        url = clean_url(f"https://{rest}")
    except AddressError:
        return
    assert clean_url(url) == url
    assert host_of(url)
