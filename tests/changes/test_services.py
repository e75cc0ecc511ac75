"""What people do for a customer is ordered from the catalogue: its form, who approves it, how it is charged.

Of each requirement that is a service of people, the operations by which the platform takes it in.
"""

from __future__ import annotations

from typing import Final

import pytest

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Customer, User
from changes.catalogue import Field, Operation, Type, operations, route
from changes.services import targets
from incidents import services as handling
from incidents.models import Incident, IncidentKind, RequestPhase
from incidents.services import requests
from incidents.services.requests import Wanted
from tests.changes.conftest import place
from tests.conftest import NOW, ClientFor

pytestmark = pytest.mark.django_db

NOBODY, OWNER, CUSTOMER = "", "owner", "owner customer"
SECURITY, EVERYBODY = "owner security customer", "owner security customer:all"
SERVICES: Final = {
    "R97": {"record-advice": NOBODY},
    "R96": {"release-support": CUSTOMER, "automation-build": OWNER},
    "R125": {"ram-user": CUSTOMER, "ram-policy": SECURITY, "mfa": CUSTOMER},
    "R127": {"os-user": CUSTOMER, "password-init": CUSTOMER, "database-user": CUSTOMER},
    "R139": {"automation-build": OWNER},
    "R140": {"automation-build": OWNER, "script-run": SECURITY},
    "R142": {
        "security-group-create": OWNER, "security-group-rule": SECURITY, "security-group-delete": EVERYBODY,
        "acl-create": CUSTOMER, "acl-rule": SECURITY, "firewall": SECURITY, "waf-user": CUSTOMER,
        "waf-permission": CUSTOMER, "waf-rule": CUSTOMER, "hardening": SECURITY,
    },
    "R155": {"windows-antivirus": OWNER},
    "R156": {"snapshot-policy": OWNER, "database-backup-policy": OWNER, "manual-backup": OWNER},
    "R157": {"backup-advice": NOBODY},
    "R162": {"database-install": CUSTOMER},
    "R163": {"database-upgrade": SECURITY, "database-patch": SECURITY},
    "R164": {
        "database-index": SECURITY, "database-backup-policy": OWNER, "database-clone": SECURITY,
        "database-resize": CUSTOMER, "database-availability": SECURITY, "database-user": CUSTOMER,
    },
    "R166": {"database-parameter": SECURITY, "database-index": SECURITY, "database-resize": CUSTOMER},
    "R167": {"database-migration": SECURITY},
    "R168": {"oracle": SECURITY, "database-install": CUSTOMER},
    "R169": {
        "vpc-plan": NOBODY, "vpc": EVERYBODY, "subnet-create": OWNER, "subnet-change": SECURITY,
        "subnet-delete": EVERYBODY, "route": SECURITY,
    },
    "R170": {"vpn-create": OWNER, "vpn-config": CUSTOMER, "vpn-delete": EVERYBODY},
    "R171": {"vpn-troubleshooting": NOBODY},
    "R172": {"leased-line": NOBODY},
    "R174": {
        "ecs-create": OWNER, "ecs-resize": CUSTOMER, "database-resize": CUSTOMER, "bucket-create": OWNER,
        "security-group-rule": SECURITY, "lb-create": OWNER, "lb-config": CUSTOMER, "vpc": EVERYBODY,
        "nat-gateway": CUSTOMER, "vpn-create": OWNER, "leased-line": NOBODY, "ram-user": CUSTOMER,
        "rds-create": OWNER, "image-create": OWNER, "image-copy": OWNER,
    },
    "R175": {
        "os-install": EVERYBODY, "os-init": OWNER, "linux-disk": CUSTOMER, "disk-add": CUSTOMER, "os-user": CUSTOMER,
        "web-server-install": OWNER, "runtime-install": OWNER, "linux-middleware": CUSTOMER, "linux-kernel": SECURITY,
        "linux-patch": SECURITY, "manual-backup": OWNER,
    },
    "R176": {
        "os-install": EVERYBODY, "disk-add": CUSTOMER, "windows-role": CUSTOMER, "os-user": CUSTOMER,
        "windows-update": SECURITY, "web-server-install": OWNER, "runtime-install": OWNER, "windows-antivirus": OWNER,
        "windows-office": OWNER, "manual-backup": OWNER,
    },
    "R177": {"linux-commercial": CUSTOMER, "windows-commercial": CUSTOMER},
}  # fmt: skip
"""By requirement: who approves each of its operations, one level after the other."""
CHARGED: Final = {"database-migration": "增值服务", "oracle": "单独收费"}
INCLUDED: Final = "合同内"
ORDERED: Final = sorted({code for codes in SERVICES.values() for code in codes})


@pytest.mark.parametrize("requirement", SERVICES)
def test_each_service_of_people_has_its_operations_and_who_approves_them(requirement: str) -> None:
    for code, approvers in SERVICES[requirement].items():
        levels = route(operations()[code].risk).levels
        said = " ".join(level.duty + (":all" if level.needs == "all" else "") for level in levels)
        assert said == approvers, code


def answer_to(field: Field) -> object:
    """Something that the field takes."""
    if field.options:
        return field.options[0].value
    fitting: dict[Type, object] = {
        Type.INTEGER: field.least or 1,
        Type.BOOLEAN: "on",
        Type.DATE: "2026-12-24",
        Type.DATETIME: "2026-12-24T10:00",
        Type.IP: "203.0.113.7",
        Type.CIDR: "10.0.1.0/24",
        Type.DOMAIN: "example.com",
        Type.PORTS: "443/443",
        Type.PATH: "/data",
        Type.BUCKET: "reports",
    }
    return fitting.get(field.type, "as agreed")


def order(operation: Operation, customer: Customer, client: object) -> Incident:
    assets = [place(customer, "it", "production", kind=min(operation.kinds))] if operation.kinds else []
    said = {f"field-{field.name}": answer_to(field) for field in operation.fields}
    form = {"title": "Please", "assets": [asset.pk for asset in assets], **said}
    answer = client.post(f"/changes/catalogue/{operation.code}/", form)  # type: ignore[attr-defined]  # a test client
    assert answer.status_code == 302, answer.content.decode()[-2000:]
    with scope.customer(customer):
        incident = Incident.objects.select_related("request").get(kind=IncidentKind.REQUEST)
        assert list(incident.assets.all()) == assets
    return incident


@pytest.mark.parametrize("code", ORDERED)
def test_a_customer_orders_it_in_its_own_form_and_reads_how_it_is_charged(
    jia: Customer, alice: User, client_for: ClientFor, code: str
) -> None:
    operation, client = operations()[code], client_for(alice)
    page = client.get(f"/changes/catalogue/{code}/").content.decode()
    assert CHARGED.get(code, INCLUDED) in page
    request = order(operation, jia, client).request
    assert (request.operation, request.billing) == (code, operation.billing)
    assert request.owes_change == operation.changes_something
    wanted = {field.name for field in operation.fields}
    assert request.fields.keys() == wanted
    assert request.needs_quote == (code in CHARGED)


@pytest.mark.parametrize("code", CHARGED)
def test_what_is_charged_by_itself_does_not_begin_without_an_accepted_quote(
    jia: Customer, alice: User, chen: User, client_for: ClientFor, code: str
) -> None:
    incident = order(operations()[code], jia, client_for(alice))
    with scope.customer(jia):
        incident = handling.acknowledge(incident=incident, actor=chen, now=NOW)
        incident = requests.accept(incident=incident, words="", actor=chen, now=NOW)
        with pytest.raises(DomainError, match="报价"):
            requests.begin(incident=incident, actor=chen, now=NOW)
        incident.refresh_from_db()
        assert incident.phase == RequestPhase.ACCEPTED


def test_patches_are_included_however_many_there_are(jia: Customer, alice: User, chen: User) -> None:
    patches = [each for each in operations().values() if each.is_patch]
    with scope.customer(jia):
        for number in range(30):
            operation = patches[number % len(patches)]
            wanted = Wanted(operation=operation.code, fields={"patch": f"CVE-{number}"}, billing=operation.billing)
            incident = requests.raise_request(
                customer=jia, title="Patch", description="", assets=[], wanted=wanted, actor=alice, now=NOW
            )
            incident = handling.acknowledge(incident=incident, actor=chen, now=NOW)
            incident = requests.accept(incident=incident, words="", actor=chen, now=NOW)
            assert not incident.request.needs_quote
        assert Incident.objects.filter(kind=IncidentKind.REQUEST, phase=RequestPhase.ACCEPTED).count() == 30


def test_a_release_of_code_is_marked_as_the_customers_own(jia: Customer, alice: User, client_for: ClientFor) -> None:
    client = client_for(alice)
    incident = order(operations()["release-support"], jia, client)
    assert "客户主导" in client.get(f"/changes/for-request/{incident.pk}/").content.decode()


@pytest.mark.parametrize(
    "code", ["linux-commercial", "windows-commercial", "linux-middleware", "database-install", "database-upgrade"]
)
def test_software_asks_for_its_licence_and_vendors_support(code: str) -> None:
    words = {field.name: field.words.zh for field in operations()[code].fields}
    assert words["license"] == "许可与原厂支持"


def test_a_migration_asks_for_what_the_customer_has_to_change_itself() -> None:
    asked = {check.code: check.words.zh for check in operations()["database-migration"].checklist}
    assert "写死的地址" in asked["addresses"]
    assert "文件共享" in asked["shares"]


def test_that_a_licence_is_the_customers_cost_stands_on_the_form_and_on_the_request(
    jia: Customer, alice: User, eve: User, client_for: ClientFor
) -> None:
    told = "许可与原厂支持不含在合同内"
    needing = {each.code for each in operations().values() if each.needs_licence}
    assert needing >= {"linux-commercial", "windows-commercial", "database-install"}
    browser = client_for(alice)
    assert told in browser.get("/changes/catalogue/linux-commercial/").content.decode()
    assert told not in browser.get("/changes/catalogue/dns-record/").content.decode()
    with scope.customer(jia):
        incidents = {
            code: targets.ask(
                customer=jia, operation=operations()[code], fields={}, title="Oracle", description="", assets=[],
                wished_at=None, actor=alice, now=NOW,
            ).pk
            for code in ("linux-commercial", "dns-record")
        }  # fmt: skip
    for code, pk in incidents.items():
        page = browser.get(f"/changes/for-request/{pk}/").content.decode()
        assert (told in page) is (code == "linux-commercial")
        assert client_for(eve).get(f"/changes/for-request/{pk}/").status_code == 404
    listed = {one["code"]: one["needs_licence"] for one in browser.get("/api/v1/catalogue/").json()}
    assert (listed["linux-commercial"], listed["dns-record"]) == (True, False)
