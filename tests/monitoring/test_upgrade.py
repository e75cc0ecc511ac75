"""What stands in the database of an earlier version is read by this one."""

from importlib import import_module

import pytest
from django.db import connection

from accounts import scope
from accounts.models import Customer, User
from monitoring.collectors.config.fields import ConfigError
from monitoring.models import Target
from monitoring.services import targets
from tests.conftest import NOW
from tests.monitoring.samples import server

OLD = {
    "url": "https://www.example.com/", "method": "GET", "status": "200-399", "keyword": "", "headers": {}, "body": "",
    "timeout_s": 10.0, "max_redirects": 5, "verify_tls": True, "points": [],
}  # fmt: skip
"""A URL check as the first version stored it."""


@pytest.mark.django_db
def test_a_url_check_of_the_first_version_goes_on(jia: Customer, root: User) -> None:
    migration = import_module("monitoring.migrations.0006_http_checks")
    asset = server(jia)
    with scope.platform("an upgrade"):
        made = targets.create(asset=asset, kind="http", config={"url": OLD["url"]}, actor=root, now=NOW)
        Target.objects.filter(pk=made.pk).update(config=OLD)
        with pytest.raises(ConfigError):
            assert Target.objects.get(pk=made.pk).parsed_config
        with connection.cursor() as cursor:
            cursor.execute(migration.WITHOUT_EMPTY_SECRETS)
        assert Target.objects.get(pk=made.pk).parsed_config == made.parsed_config
