"""The demo's service requests stand in every phase that people meet, and are played by the services."""

import pytest
from django.db.models import Q

from accounts import scope
from accounts.models import Contact, Customer, Role, User
from accounts.services import calendars
from changes.models import RequestTarget
from demo import requests
from incidents.models import Attestation, Clock, Incident, Quote
from tests.conftest import NOW, make_person

pytestmark = pytest.mark.django_db


def test_requests_stand_in_every_phase_and_miss_no_stage_report(jia: Customer, yi: Customer, chen: User) -> None:
    with scope.platform("test"):
        calendars.seed_default(years=[2026], now=NOW)
        Customer.objects.filter(pk=jia.pk).update(code="xinghai")
        Customer.objects.filter(pk=yi.pk).update(code="yuanfan")
        for name, customer, kind in (("wang", jia, "first_pm"), ("zhao", jia, "secondary"), ("sun", yi, "first_pm")):
            person = make_person(name, Role.CUSTOMER_PM, customer)
            User.objects.filter(pk=person.pk).update(email=f"{name}@{customer_domain(customer)}")
            Contact.objects.create(customer=customer, kind=kind, user=person, phone="1", email=f"{name}@example.com")
        requests.write(engineer=chen, now=NOW)
        phases = set(Incident.objects.values_list("phase", flat=True))
        assert phases == {"received", "review", "accepted", "in_work", "done", "confirmed", "refused"}
        assert Attestation.objects.unanswered().count() == 2
        assert Quote.objects.filter(attestation__answer__outcome="signed").count() == 1
        kept = Q(missed_at=None, incident__resolved_at__isnull=False)
        late, still_open = Q(missed_at__isnull=False), Q(missed_at=None, incident__resolved_at=None)
        assert [RequestTarget.objects.filter(one).count() for one in (kept, late, still_open)] == [2, 1, 1]
        assert not Clock.objects.exclude(breached_at=None).filter(kind=Clock.Kind.STAGE_REPORT).exists()


def customer_domain(customer: Customer) -> str:
    return {"jia": "xinghai.example", "yi": "yuanfan.example"}[customer.code]
