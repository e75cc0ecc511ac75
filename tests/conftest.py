"""The cast of every test: two customers who must never meet, their people, and the provider's."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache

import hypothesis
import pytest
from allauth.mfa.models import Authenticator
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.core.cache import cache
from django.test import Client

from accounts import scope
from accounts.models import Assignment, Customer, Role, User
from accounts.services import customers

NOW = datetime(2026, 3, 2, 2, 0, tzinfo=UTC)
"""A working Monday, 10:00 in Shanghai."""
PASSWORD = "correct horse battery staple"

ClientFor = Callable[[User], Client]

hypothesis.settings.register_profile(
    "rdmp", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow]
)  # no test fails because the machine is busy
hypothesis.settings.load_profile("rdmp")
settings.PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # the real one is slow on purpose


@pytest.fixture(autouse=True)
def _fresh_cache() -> None:
    cache.clear()


@pytest.fixture
def redis_url() -> str:
    return settings.REDIS_URL


def make_customer(code: str, name: str, *, actor: User | None = None) -> Customer:
    """A customer in service with the SOW's contract."""
    with scope.platform("test"):
        customer = customers.create(name=name, short_name=name[:4], code=code, actor=actor, now=NOW)
        customers.sign_default_contract(
            customer=customer, number=f"{code}-1", signed_on=NOW.date(), actor=actor, now=NOW
        )
        Customer.objects.filter(pk=customer.pk).update(status=Customer.Status.IN_SERVICE)
        customer.refresh_from_db()
        return customer


@lru_cache
def _password_hash() -> str:
    return make_password(PASSWORD)


def make_person(name: str, role: Role, customer: Customer | None = None) -> User:
    with scope.platform("test"):
        return User.objects.create(
            email=f"{name}@example.com",
            password=_password_hash(),
            name=name.title(),
            role=role,
            customer=customer,
            phone="13800000000",
        )


@pytest.fixture
def jia(db: None) -> Customer:
    return make_customer("jia", "甲方制造有限公司")


@pytest.fixture
def yi(db: None) -> Customer:
    return make_customer("yi", "乙酉物流有限公司")


@pytest.fixture
def alice(jia: Customer) -> User:
    return make_person("alice", Role.CUSTOMER_PM, jia)


@pytest.fixture
def bob(jia: Customer) -> User:
    return make_person("bob", Role.CUSTOMER_MEMBER, jia)


@pytest.fixture
def vera(jia: Customer) -> User:
    return make_person("vera", Role.CUSTOMER_VIEWER, jia)


@pytest.fixture
def eve(yi: Customer) -> User:
    return make_person("eve", Role.CUSTOMER_PM, yi)


@pytest.fixture
def chen(jia: Customer, yi: Customer) -> User:
    person = make_person("chen", Role.ENGINEER)
    with scope.platform("test"):
        for customer in (jia, yi):
            Assignment.objects.create(customer=customer, user=person, assigned_at=NOW)
    return person


@pytest.fixture
def lin(db: None) -> User:
    return make_person("lin", Role.MANAGER)


@pytest.fixture
def root(db: None) -> User:
    return make_person("root", Role.ADMIN)


@pytest.fixture
def client_for() -> ClientFor:
    """A browser that a person has signed in with, second factor included."""

    def signed_in(person: User) -> Client:
        browser = Client()
        with scope.platform("test sign-in"):
            if person.is_provider:
                Authenticator.objects.get_or_create(
                    user=person, type=Authenticator.Type.TOTP, defaults={"data": {"secret": ""}}
                )
            browser.force_login(person)
        return browser

    return signed_in
