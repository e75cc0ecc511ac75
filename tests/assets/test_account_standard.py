"""trops, xxadmin and www on every Linux server, and what is said when they are not."""

import pytest

from assets.account_standard import Account, Deviation, Fault, deviations

TROPS = Account("trops", "operations", True)
XXADMIN = Account("xxadmin", "customer", True)
WWW = Account("www", "application", False)


def test_a_server_as_the_contract_wants_it_has_no_deviation() -> None:
    assert deviations([WWW, TROPS, XXADMIN, Account("backup", "other", False)]) == ()


def test_every_missing_account_is_named() -> None:
    assert deviations([]) == tuple(Deviation(Fault.MISSING, name) for name in ("trops", "xxadmin", "www"))


@pytest.mark.parametrize(
    ("account", "fault"),
    [
        (Account("trops", "operations", False), Fault.WITHOUT_SUDO),
        (Account("trops", "operations", None), Fault.SUDO_UNKNOWN),
        (Account("www", "application", True), Fault.WITH_SUDO),
    ],
)
def test_sudo_is_as_the_contract_says(account: Account, fault: Fault) -> None:
    others = [one for one in (TROPS, XXADMIN, WWW) if one.name != account.name]
    assert deviations([account, *others]) == (Deviation(fault, account.name),)


def test_an_account_of_the_same_purpose_under_another_name_is_told_apart_from_none() -> None:
    found = deviations([Account("ops", "operations", True), XXADMIN, WWW])
    assert found == (Deviation(Fault.OTHER_NAME, "trops", "ops"), Deviation(Fault.EXTRA_SUDO, "ops"))
