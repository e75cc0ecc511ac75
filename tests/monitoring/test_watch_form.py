"""The SOW's monitoring template: what is written becomes checks, rules and tasks, and nothing is lost on the way."""

from dataclasses import replace

import pytest

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Contract, Customer, User
from assets.models import Asset
from monitoring.models import MonitoringTemplate, RuleOverride, Target, TemplateTask
from monitoring.services import targets, watch_forms
from monitoring.services.watch_forms import State
from monitoring.watch_plan import AssetFacts, Form, Known, ProductFacts, Step, address, counted, derive, words
from tests.conftest import ClientFor
from tests.monitoring.samples import START, server

SOW = Form(
    wanted=True,
    basics=("cpu", "memory", "network", "disk", "os"),
    web=("nginx", "tomcat"),
    databases=("redis", "rds-mysql", "rds-sqlserver", "zookeeper"),
    other_products="ehcache 监控, Solr 监控",
    ports=(80, 22),
    other_ports="8080, 8088, 9090, 8090",
    url_kinds=("http", "api"),
    urls="api 接口、官网",
)
"""As the SOW's own example fills it in (济通科技)."""
PRODUCTS = {
    "nginx": ProductFacts(80, needs_password=False, is_middleware=True),
    "tomcat": ProductFacts(8080, needs_password=True, is_middleware=True),
    "solr": ProductFacts(8983, needs_password=False, is_middleware=True),
    "ehcache": ProductFacts(8778, needs_password=False, is_middleware=True),
}
WEB = AssetFacts(1, "web-01", "server", host="10.0.0.1", agent_url="http://10.0.0.1:9101/metrics")
BARE = AssetFacts(2, "bare", "server")


def steps(form: Form, *assets: AssetFacts, **known: object) -> list[Step]:
    return derive(form, replace(Known(assets, {}, PRODUCTS), **known))  # type: ignore[arg-type]  # test data


def codes(found: list[Step]) -> set[str]:
    return {step.code for step in found}


# --- pure ------------------------------------------------------------------------------------------------------------


def test_the_sows_example_on_one_server_gives_a_check_for_each_box_or_a_task() -> None:
    found = steps(SOW, WEB)
    ports = {step.port for step in found if step.code == "port"}
    assert ports == {80, 22, 8080, 8088, 9090, 8090}
    assert {step.subject for step in found if step.code == "task_no_instance"} == {
        "nginx", "tomcat", "redis", "zookeeper", "solr", "ehcache",
    }  # fmt: skip
    assert {step.subject for step in found if step.code == "task_no_cloud_instance"} == {"rds-mysql", "rds-sqlserver"}
    assert {step.subject for step in found if step.code == "task_url"} == {"api 接口", "官网"}
    assert {"ping", "agent", "task_api"} <= codes(found)
    assert not [step for step in found if step.code == "rule_off"]


def test_each_instance_of_a_product_is_a_check_and_counts() -> None:
    nginx = [AssetFacts(at, f"n{at}", "middleware", host=f"10.0.1.{at}", product="nginx") for at in range(1, 6)]
    found = steps(Form(wanted=True, web=("nginx",)), *nginx)
    assert [(step.asset_id, step.port) for step in found if step.code == "product"] == [(at, 80) for at in range(1, 6)]
    assert counted(found, Known(nginx, {}, PRODUCTS)) == {"middleware": 5, "url": 0, "port": 0}


def test_what_needs_a_password_or_an_address_is_a_task() -> None:
    tomcat = AssetFacts(3, "t", "middleware", host="10.0.0.3", product="tomcat")
    lost = AssetFacts(4, "n", "middleware", product="nginx")
    found = steps(Form(wanted=True, web=("tomcat", "nginx"), ports=(22,)), tomcat, lost, BARE)
    assert {(step.code, step.asset_id) for step in found if step.is_task} == {
        ("task_credentials", 3), ("task_host", 4), ("task_host", 2),
    }  # fmt: skip


def test_what_is_there_already_is_not_made_again() -> None:
    there = {("ping", 1, ""): 10, ("agent", 1, ""): 11, ("port", 1, "22"): 12}
    found = steps(Form(wanted=True, basics=("cpu", "memory", "network", "disk", "os"), ports=(22,)), WEB, targets=there)
    assert all(step.is_there for step in found)
    assert counted(found, Known([WEB], {}, PRODUCTS))["port"] == 0


def test_a_box_that_is_not_ticked_switches_its_rules_off_and_a_ticked_one_on_again() -> None:
    found = steps(Form(wanted=True, basics=("cpu", "network", "disk", "os")), WEB)
    assert {step.subject for step in found if step.code == "rule_off"} == {
        "host-mem-util", "host-mem-available-low", "ecs-mem-util",
    }  # fmt: skip
    again = steps(Form(wanted=True, basics=("memory",)), WEB, rules_off=("ecs-mem-util",))
    assert [step.subject for step in again if step.code == "rule_on"] == ["ecs-mem-util"]


def test_no_monitoring_means_that_all_collecting_stops_and_says_so_first() -> None:
    found = steps(replace(SOW, wanted=False, notes="from June"), WEB, targets={("ping", 1, ""): 10})
    assert [(step.code, step.subject) for step in found] == [("target_off", "10"), ("task_notes", "from June")]


@pytest.mark.parametrize(
    ("word", "url"),
    [
        ("www.example.com", "http://www.example.com"),
        ("https://a.example.com/x?y=1", "https://a.example.com/x?y=1"),
        ("example.com:8443/health", "http://example.com:8443/health"),
        ("官网", ""),
        ("ftp://example.com", ""),
        ("http://", ""),
    ],
)
def test_an_address_is_told_from_a_word(word: str, url: str) -> None:
    assert address(word, "http") == url


def test_lists_are_read_as_people_write_them() -> None:
    assert words("ehcache 监控, Solr 监控；Kafka、 \n ") == ["ehcache", "Solr", "Kafka"]


# --- on the platform -------------------------------------------------------------------------------------------------


@pytest.fixture
def web(jia: Customer) -> Asset:
    return server(jia, "web-01", host="203.0.113.7")


def submitted(customer: Customer, actor: User, form: Form) -> MonitoringTemplate:
    with scope.customer(customer):
        return watch_forms.submit(customer=customer, form=form, actor=actor, now=START)


FILLED = {
    "wanted": "yes", "basics": ["cpu", "network"], "web": ["nginx"], "ports": ["22"], "other_ports": "8080, x",
    "url_kinds": ["https"], "urls": "shop.example.com", "notes": "please look at the mail server",
}  # fmt: skip


@pytest.mark.django_db
def test_the_customers_pm_fills_it_in_and_the_engineer_sets_it_up(
    jia: Customer, web: Asset, alice: User, chen: User, client_for: ClientFor
) -> None:
    assert client_for(alice).post("/monitoring/templates/fill/", FILLED).status_code == 302
    with scope.customer(jia):
        row = MonitoringTemplate.objects.get()
        assert (row.state, row.version, row.submitted_by) == (State.SUBMITTED, 1, alice)
        assert not Target.objects.exists()
        keys = [step.key for step in watch_forms.preview(row).new]
    page = client_for(chen).get(f"/monitoring/templates/{row.pk}/confirm/").content.decode()
    assert page.count('name="step"') == len(keys)
    left_out = next(key for key in keys if key.startswith("port|") and "|22|" in key)
    chosen = [key for key in keys if key != left_out]
    assert client_for(chen).post(f"/monitoring/templates/{row.pk}/confirm/", {"step": chosen}).status_code == 302
    with scope.customer(jia):
        made = {(target.kind, target.where) for target in Target.objects.all()}
        assert made == {
            ("ping", "203.0.113.7"), ("tcp", "203.0.113.7:8080"), ("http", "https://shop.example.com"),
        }  # fmt: skip
        off = set(RuleOverride.objects.filter(enabled=False).values_list("rule_id", flat=True))
        assert {"host-mem-util", "host-fs-free-5", "host-restarted"} <= off
        assert "host-cpu-util" not in off
        tasks = set(TemplateTask.objects.values_list("code", flat=True))
        assert tasks == {"agent", "no_instance", "port", "notes", "left_out"}
        row.refresh_from_db()
        assert (row.state, row.confirmed_by) == (State.CONFIRMED, chen)
    assert "shop.example.com" in client_for(alice).get("/monitoring/templates/").content.decode()


@pytest.mark.django_db
def test_more_than_the_contract_counts_is_warned_about_and_not_cut(
    jia: Customer, chen: User, client_for: ClientFor
) -> None:
    urls = "\n".join(f"https://s{at}.example.com" for at in range(7))
    row = submitted(jia, chen, Form(wanted=True, basics=("cpu", "memory", "network", "disk", "os"), urls=urls))
    with scope.customer(jia):
        assert Contract.objects.get().url_quota == 5
        preview = watch_forms.preview(row)
        quota = next(one for one in preview.quotas if one.code == "url")
        assert (quota.adding, quota.is_exceeded, quota.over) == (7, True, 2)
    assert "alert-warning" in client_for(chen).get(f"/monitoring/templates/{row.pk}/confirm/").content.decode()
    with scope.customer(jia):
        watch_forms.confirm(template=row, chosen=[step.key for step in preview.new], actor=chen, now=START)
        assert Target.objects.filter(kind="http").count() == 7


@pytest.mark.django_db
def test_steps_count_as_urls_beside_plain_ones(jia: Customer, web: Asset, chen: User) -> None:
    with scope.customer(jia):
        steps = [{"name": "sign in", "url": "https://a.example.com/"}]
        for kind, config in (("flow", {"steps": steps}), ("http", {"url": "https://b.example.com/"})):
            targets.create(asset=web, kind=kind, config=config, actor=None, now=START)
        preview = watch_forms.preview(submitted(jia, chen, Form(wanted=True)))
        assert {quota.code: quota.used for quota in preview.quotas}["url"] == 2


@pytest.mark.django_db
def test_it_is_set_up_once_and_a_new_version_replaces_the_one_that_waits(jia: Customer, web: Asset, chen: User) -> None:
    first = submitted(jia, chen, Form(wanted=True, ports=(22,)))
    second = submitted(jia, chen, Form(wanted=True, ports=(80,)))
    with scope.customer(jia):
        with pytest.raises(DomainError):
            watch_forms.confirm(template=first, chosen=[], actor=chen, now=START)
        watch_forms.confirm(template=second, chosen=[], actor=chen, now=START)
        with pytest.raises(DomainError):
            watch_forms.confirm(template=second, chosen=[], actor=chen, now=START)
        states = list(MonitoringTemplate.objects.order_by("version").values_list("state", flat=True))
    assert states == [State.REPLACED, State.CONFIRMED]


@pytest.mark.django_db
def test_what_cannot_be_set_up_is_a_task_that_says_why(jia: Customer, web: Asset, chen: User) -> None:
    row = submitted(jia, chen, Form(wanted=True, urls="http://169.254.169.254/latest"))
    with scope.customer(jia):
        keys = [step.key for step in watch_forms.preview(row).new]
        Asset.objects.create(
            customer=jia, kind="url", name="169.254.169.254/latest", url="http://other.example.com",
            created_at=START, changed_at=START,
        )  # fmt: skip
        watch_forms.confirm(template=row, chosen=keys, actor=chen, now=START)
        task = TemplateTask.objects.get(code="failed")
    assert "169.254.169.254" in task.subject


@pytest.mark.django_db
def test_only_the_pm_and_the_provider_fill_it_in_and_only_the_provider_sets_it_up(
    jia: Customer, web: Asset, alice: User, bob: User, vera: User, eve: User, chen: User, client_for: ClientFor
) -> None:
    row = submitted(jia, alice, Form(wanted=True, ports=(22,)))
    for person in (bob, vera):
        assert client_for(person).get("/monitoring/templates/").status_code == 200
        assert client_for(person).get("/monitoring/templates/fill/").status_code == 403
    assert client_for(alice).post(f"/monitoring/templates/{row.pk}/confirm/").status_code == 403
    assert client_for(eve).get(f"/monitoring/templates/{row.pk}/").status_code == 404
    assert client_for(chen).get(f"/monitoring/templates/{row.pk}/").status_code == 200
    assert client_for(alice).get(f"/monitoring/templates/{row.pk}/export.csv").status_code == 200


@pytest.mark.django_db
def test_a_task_is_ticked_off(jia: Customer, alice: User, chen: User, client_for: ClientFor) -> None:
    row = submitted(jia, alice, Form(wanted=True, notes="mail"))
    with scope.customer(jia):
        watch_forms.confirm(template=row, chosen=[], actor=chen, now=START)
        task = TemplateTask.objects.get(code="notes")
    assert client_for(chen).post(f"/monitoring/template-tasks/{task.pk}/settle/").status_code == 302
    with scope.customer(jia):
        task.refresh_from_db()
    assert task.done_by_id == chen.pk
