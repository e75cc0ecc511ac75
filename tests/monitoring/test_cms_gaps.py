"""An outage longer than figures are read back leaves a gap, and the account's page says so."""

from datetime import timedelta

import pytest
from django.utils import timezone, translation
from django.utils.translation import gettext

from accounts import scope
from accounts.models import Customer, User
from assets.models import CloudAccount
from monitoring.gaps import KEPT_MS, LONGEST_BACK_MS, MOST, after, lost_by
from monitoring.models import Target
from tests.conftest import ClientFor

HOUR = 3_600_000
NOW = 1_800_000_000_000


def test_an_outage_that_is_read_back_leaves_no_gap() -> None:
    found = after({"read_at": NOW - 23 * HOUR}, is_read=True, now_ms=NOW, back_ms=LONGEST_BACK_MS)
    assert found == {"read_at": NOW, "gaps": []}
    assert after({}, is_read=True, now_ms=NOW, back_ms=LONGEST_BACK_MS) == {"read_at": NOW, "gaps": []}


def test_a_longer_outage_leaves_what_lies_further_back() -> None:
    found = after({"read_at": NOW - 30 * HOUR}, is_read=True, now_ms=NOW, back_ms=LONGEST_BACK_MS)
    assert found == {"read_at": NOW, "gaps": [[NOW - 30 * HOUR, NOW - 24 * HOUR]]}


def test_a_run_that_fails_reads_nothing_and_forgets_nothing() -> None:
    gaps = [[NOW - 90 * HOUR, NOW - 80 * HOUR]]
    before = {"read_at": NOW - 30 * HOUR, "gaps": gaps}
    assert after(before, is_read=False, now_ms=NOW, back_ms=LONGEST_BACK_MS) == before
    assert lost_by(NOW - 30 * HOUR, NOW, LONGEST_BACK_MS) == NOW - 24 * HOUR


def test_old_gaps_and_too_many_are_forgotten() -> None:
    old = [NOW - KEPT_MS - HOUR, NOW - KEPT_MS]
    some = [[NOW - (20 - at) * 48 * HOUR, NOW - (20 - at) * 48 * HOUR + HOUR] for at in range(8)]
    before = {"read_at": NOW - 30 * HOUR, "gaps": [old, *some]}
    found = after(before, is_read=True, now_ms=NOW, back_ms=LONGEST_BACK_MS)["gaps"]
    assert len(found) == MOST
    assert found[-1] == [NOW - 30 * HOUR, NOW - 24 * HOUR]


@pytest.mark.django_db
@pytest.mark.parametrize("is_over", [True, False])
def test_the_accounts_page_says_what_is_missing_for_good(
    jia: Customer, chen: User, client_for: ClientFor, is_over: bool
) -> None:
    now = timezone.now()
    now_ms = round(now.timestamp() * 1000)
    state = {"read_at": now_ms - 60_000, "gaps": [[now_ms - 80 * HOUR, now_ms - 70 * HOUR]]}
    with scope.customer(jia):
        account = CloudAccount.objects.create(
            customer=jia, name="main", account_uid="1", access_key_id="LTAI", created_at=now
        )
        Target.objects.create(
            customer=jia, cloud_account=account, kind="cms", name="x", key="x", next_due_at=now, created_at=now,
            config={"namespace": "acs_ecs_dashboard"}, changed_at=now,
            state=state if is_over else {"read_at": now_ms - 30 * HOUR, "gaps": []},
        )  # fmt: skip
    page = client_for(chen).get(f"/monitoring/for-account/{account.pk}/").content.decode()
    with translation.override("zh-hans"):
        grows = gettext("and growing while it is not read")
    since = timezone.localtime(now - timedelta(hours=80 if is_over else 30))
    assert f"acs_ecs_dashboard</code> {since:%m-%d %H:%M} – " in page
    assert (grows in page) is not is_over
