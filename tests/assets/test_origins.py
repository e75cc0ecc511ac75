import pytest

from assets.origins import origin_of


@pytest.mark.parametrize(
    ("address", "origin"),
    [
        ("223.5.5.5", "CN"),
        (" 8.8.8.8 ", "US"),
        ("81.2.69.142", "GB"),
        ("10.1.2.3", "10.1.0.0/16"),
        ("203.0.113.9", "203.0.0.0/16"),
        ("2001:db8:1::1", "2001:db8::/32"),
        ("ecs.aliyuncs.com", ""),
        ("", ""),
        ("300.1.1.1", ""),
    ],
)
def test_an_address_has_a_country_or_at_least_a_network(address: str, origin: str) -> None:
    assert origin_of(address) == origin
