"""What must hold before any process of the product serves: settings that are safe, keys for every sealed secret."""

from concurrent.futures import ThreadPoolExecutor

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.db import connection

from accounts import scope, secrets
from accounts.models import Secret


def refuse_to_serve_insecurely() -> None:
    """Raises ImproperlyConfigured, with one sentence per problem, unless it is safe to go on."""
    problems = list(settings.INSECURE)
    if not problems:
        with ThreadPoolExecutor(1) as outside:  # uvicorn imports us inside its event loop, where Django allows no query
            problems = outside.submit(_unknown_keys).result()
    if problems:
        raise ImproperlyConfigured("RDMP does not start: " + "; ".join(problems))


def _unknown_keys() -> list[str]:
    with scope.platform("start-up check"):
        try:
            if Secret._meta.db_table not in connection.introspection.table_names():
                return []  # before the first migrate
            return [f"RDMP_MASTER_KEYS lacks the key {key!r}" for key in sorted(secrets.unknown_keys())]
        finally:
            connection.close()
