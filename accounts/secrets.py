"""Secrets of objects: put in, used by the platform, revealed to people with a reason; never read back otherwise.

The second factors of people are sealed with the same keys (`accounts.signin`) and turn with them.
"""

from collections.abc import Callable
from datetime import datetime
from functools import lru_cache
from typing import Any

from allauth.mfa.models import Authenticator
from django.conf import settings
from django.db import models, transaction
from django.utils.module_loading import import_string

from accounts import audit, scope
from accounts.models import Customer, Secret, User
from accounts.vault import KeyRing, VaultError, key_id_of

SECOND_FACTOR = "mfa"
SEALED_IN_FACTORS = ("secret", "seed", "migrated_codes")
"""Where django-allauth keeps what `accounts.signin` has sealed for it: of TOTP, of recovery codes, of older ones."""


class Missing(LookupError):
    """The object has no such secret."""


@lru_cache(maxsize=4)
def _parsed(text: str) -> KeyRing:
    """Once in the life of a process: a key management service is asked at its start and may be away afterwards."""
    return KeyRing.parse(text, unwrap=import_string(settings.RDMP_KEY_UNWRAPPER))


def key_ring() -> KeyRing:
    """The configured keys. Raises VaultError when there are none or one is malformed."""
    return _parsed(settings.RDMP_MASTER_KEYS)


def _rows(obj: models.Model) -> models.QuerySet[Secret]:
    return Secret.objects.filter(object_type=obj._meta.label_lower, object_id=str(obj.pk))


def _bound_to(customer_id: int | None, object_type: str, object_id: str, field: str) -> str:
    return f"{customer_id or '-'}|{object_type}|{object_id}|{field}"


def _customer_of(obj: models.Model) -> Customer | None:
    customer: Customer | None = getattr(obj, "customer", None)
    return customer


@transaction.atomic
def put(*, obj: models.Model, field: str, value: str, actor: User | None, now: datetime) -> None:
    """Seal a value for one field of a saved object, replacing the one before it. Audited."""
    customer = _customer_of(obj)
    object_type, object_id = obj._meta.label_lower, str(obj.pk)
    ring = key_ring()
    sealed = ring.seal(
        value, bound_to=_bound_to(None if customer is None else customer.pk, object_type, object_id, field)
    )
    Secret.objects.update_or_create(
        object_type=object_type,
        object_id=object_id,
        field=field,
        defaults={"customer": customer, "key_id": ring.primary, "sealed": sealed, "set_at": now, "set_by": actor},
    )
    audit.record(action="secret.set", actor=actor, customer=customer, obj=obj, detail={"field": field}, now=now)


def is_set(obj: models.Model, field: str) -> bool:
    return _rows(obj).filter(field=field).exists()


def use(
    *,
    obj: models.Model,
    field: str,
    purpose: str,
    now: datetime,
    actor: User | None = None,
    every_time: bool = False,
) -> str:
    """Open a secret for the platform's own work. Audited once per object, field, purpose and hour, or `every_time`.

    Raises Missing when it was never set, VaultError when it does not open.
    """
    value = _open(obj, field)
    customer = _customer_of(obj)
    detail = {"field": field, "purpose": purpose, "hour": f"{now:%Y-%m-%dT%H}"}
    with transaction.atomic(), scope.platform("audit of secrets"):
        if every_time or not audit.said(action="secret.use", customer=customer, obj=obj, detail=detail):
            audit.record(action="secret.use", actor=actor, customer=customer, obj=obj, detail=detail, now=now)
    return value


@transaction.atomic
def reveal(*, obj: models.Model, field: str, reason: str, actor: User, now: datetime) -> str:
    """Open a secret for a person to read. Every time is audited, with the reason they gave."""
    value = _open(obj, field)
    detail = {"field": field, "reason": reason}
    audit.record(action="secret.reveal", actor=actor, customer=_customer_of(obj), obj=obj, detail=detail, now=now)
    return value


@transaction.atomic
def drop(*, obj: models.Model, field: str, actor: User | None, now: datetime) -> None:
    """Forget a secret. Audited when there was one."""
    deleted, _ = _rows(obj).filter(field=field).delete()
    if deleted:
        detail = {"field": field}
        audit.record(action="secret.drop", actor=actor, customer=_customer_of(obj), obj=obj, detail=detail, now=now)


def _open(obj: models.Model, field: str) -> str:
    row = _rows(obj).filter(field=field).first()
    if row is None:
        raise Missing(f"{obj._meta.label_lower}#{obj.pk} has no {field}")
    return _open_row(row)


def _open_row(row: Secret) -> str:
    bound_to = _bound_to(row.customer_id, row.object_type, row.object_id, row.field)
    return key_ring().open(bytes(row.sealed), bound_to=bound_to)


def seal_factor(text: str) -> str:
    return key_ring().seal(text, bound_to=SECOND_FACTOR).hex()


def open_factor(sealed: str) -> str:
    return key_ring().open(bytes.fromhex(sealed), bound_to=SECOND_FACTOR)


def _each_sealed(data: dict[str, Any], change: Callable[[str], str]) -> dict[str, Any]:
    """The data of a second factor with every sealed value in it replaced by what `change` makes of it."""
    changed = dict(data)
    for field in SEALED_IN_FACTORS:
        found = data.get(field)
        if isinstance(found, list):
            changed[field] = [change(value) for value in found]
        elif found:
            changed[field] = change(found)
    return changed


def unknown_keys() -> set[str]:
    """Ids of keys that sealed something and are not configured. Needs a platform scope."""
    used = set(Secret.objects.values_list("key_id", flat=True).distinct())

    def note(sealed: str) -> str:
        used.add(key_id_of(bytes.fromhex(sealed)))
        return sealed

    for data in Authenticator.objects.values_list("data", flat=True):
        _each_sealed(data, note)
    return used - set(key_ring().keys)


@transaction.atomic
def rotate(*, now: datetime) -> int:
    """Seal everything that names an older key with the primary one; returns how many. Needs a platform scope.

    One transaction: a crash in the middle leaves every secret openable with the key it had.
    """
    ring = key_ring()
    rows = list(Secret.objects.select_for_update().exclude(key_id=ring.primary))
    for row in rows:
        bound_to = _bound_to(row.customer_id, row.object_type, row.object_id, row.field)
        if key_id_of(bytes(row.sealed)) != row.key_id:
            raise VaultError(f"secret {row.pk} names two different keys")
        row.sealed = ring.seal(_open_row(row), bound_to=bound_to)
        row.key_id = ring.primary
        row.save(update_fields=["sealed", "key_id"])
    factors = _rotate_factors(ring)
    detail = {"key": ring.primary, "secrets": len(rows), "factors": factors}
    audit.record(action="secret.rotate", actor=None, customer=None, detail=detail, now=now)
    return len(rows) + factors


def _rotate_factors(ring: KeyRing) -> int:
    def renew(sealed: str) -> str:
        return sealed if key_id_of(bytes.fromhex(sealed)) == ring.primary else seal_factor(open_factor(sealed))

    count = 0
    for factor in Authenticator.objects.select_for_update():
        data = _each_sealed(factor.data, renew)
        if data != factor.data:
            factor.data = data
            factor.save(update_fields=["data"])
            count += 1
    return count
