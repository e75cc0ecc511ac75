"""Customers with years of incidents, written by the database itself: minutes instead of hours for 200,000 of them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from allauth.mfa.models import Authenticator
from django.db import connection
from django.test import Client

from accounts import scope
from accounts.models import Assignment, Customer, Role, Severity, User
from accounts.services import calendars, customers
from assets.models import Asset
from incidents.policy import freeze

ASSETS = 20
ENGINEERS = 20
UNSOLVED = 10
"""Of each customer: so many are on the board."""
YEARS = 2
SQL = Path(__file__).parent / "data" / "incidents.sql"
_GIVEN = (
    "CREATE TEMP TABLE given AS SELECT %s::int AS total, %s::int AS unsolved, make_interval(years => %s) AS span,"
    " %s::timestamptz AS now, %s::jsonb AS policies"
)


@dataclass(frozen=True)
class Crowd:
    customers: Sequence[Customer]
    managers: Sequence[User]
    engineers: Sequence[User]
    people: Sequence[User]
    incident_ids: Sequence[int]
    seconds: float


def seed(count: int, of_customers: int, now: datetime) -> Crowd:
    """`count` incidents with clocks, pauses, timeline, assets and alerts, most of them closed long ago."""
    began = time.monotonic()
    with scope.platform("benchmark"):
        calendars.seed_default(years=[now.year - 1, now.year], now=now)
        crowd = [_customer(number, now) for number in range(of_customers)]
        managers = [_person("lin", Role.MANAGER, None)]
        engineers = [_person(f"engineer{number}", Role.ENGINEER, None) for number in range(ENGINEERS)]
        Assignment.objects.bulk_create(
            Assignment(customer=customer, user=engineer, assigned_at=now)
            for customer in crowd
            for engineer in engineers
        )
        people = [_person(f"pm{customer.pk}", Role.CUSTOMER_PM, customer) for customer in crowd]
        Asset.objects.bulk_create(
            Asset(customer=customer, kind="server", os="linux", name=f"{customer.code}-web-{number:02}",
                  created_at=now, changed_at=now)
            for customer in crowd
            for number in range(ASSETS)
        )  # fmt: skip
        policies = {
            severity.value: freeze(customer=crowd[0], severity=severity, now=now).as_json() for severity in Severity
        }
    with connection.as_owner(), connection.cursor() as cursor:  # type: ignore[attr-defined]  # our own connection
        cursor.execute(_GIVEN, [count, UNSOLVED * of_customers, YEARS, now, json.dumps(policies)])
        cursor.execute(SQL.read_text(encoding="utf-8"))
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("SELECT id FROM incidents_incident")
        ids = [row[0] for row in cursor.fetchall()]
    return Crowd(crowd, managers, engineers, people, ids, time.monotonic() - began)


def signed_in(person: User) -> Client:
    """A browser in this process: the whole response is rendered, through every middleware."""
    browser = Client(headers={"accept-language": "zh-hans"}, SERVER_NAME="127.0.0.1")
    with scope.platform("benchmark"):
        if person.is_provider:
            Authenticator.objects.get_or_create(
                user=person, type=Authenticator.Type.TOTP, defaults={"data": {"secret": ""}}
            )
        browser.force_login(person)
    return browser


def _customer(number: int, now: datetime) -> Customer:
    code = f"c{number:03}"
    name = f"客户{number:03}"
    customer = customers.create(name=f"{name}有限公司", short_name=name, code=code, actor=None, now=now)
    customers.sign_default_contract(customer=customer, number=f"{code}-1", signed_on=now.date(), actor=None, now=now)
    return customer


def _person(name: str, role: Role, customer: Customer | None) -> User:
    email = f"{name}@example.com"
    return User.objects.create(email=email, name=name.title(), role=role, customer=customer, password="!")
