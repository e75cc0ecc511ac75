"""The demo's changes stand at every part of the path that people meet, and are played by the services."""

import pytest

from accounts import scope
from accounts.models import Contact, Customer, User
from changes.models import Change, ChangeWindow
from demo import changes
from tests.conftest import NOW
from tests.incidents.conftest import make_asset, raise_incident

pytestmark = pytest.mark.django_db
KINDS = {"mall-order": "rds"}


def test_changes_stand_at_every_part_of_the_path(jia: Customer, alice: User, chen: User, lin: User, root: User) -> None:
    with scope.platform("test"):
        for kind in ("first_pm", "primary"):
            Contact.objects.create(customer=jia, kind=kind, user=alice, phone="1", email="a@example.com")
        for name in ("mall-web-01", "mall-web-02", "mall-app-01", "mall-app-02", "mall-order"):
            asset = make_asset(jia, name)
            type(asset).objects.filter(pk=asset.pk).update(kind=KINDS.get(name, "ecs"))
        raise_incident(alice, customer=jia)
        changes.write(customer=jia, cast=changes.Cast(chen, lin, root, alice), now=NOW)
        assert sorted(Change.objects.values_list("state", "gate")) == [
            ("closed", ""),
            ("closed", ""),
            ("closed", ""),
            ("preparing", "approved"),
            ("preparing", "approved"),
            ("preparing", "backed_up"),
            ("preparing", "confirmed"),
            ("preparing", "patch_proven"),
            ("ready", ""),
            ("rolled_back", ""),
        ]
        assert not Change.objects.filter(state="ready", ends_at__lt=NOW).exists()
        assert ChangeWindow.objects.filter(kind="freeze").count() == 1
