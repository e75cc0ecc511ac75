"""The knowledge base: found in Chinese and English, read by whom it is meant for, kept in versions."""

import pytest
from django.core.exceptions import PermissionDenied
from django.db import DatabaseError, connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext
from django.utils import timezone

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Customer, User
from assets.models import Asset
from incidents import services
from incidents.models import Article, ArticleLink, ArticleVersion, Incident
from incidents.services import knowledge
from incidents.services.knowledge import Draft
from tests.conftest import NOW, ClientFor
from tests.incidents.conftest import alarm, raise_incident
from tests.incidents.test_api import machine

CUSTOMERS, INTERNAL = Article.Visibility.CUSTOMERS, Article.Visibility.INTERNAL
HTMX = {"HX-Request": "true"}


def write(
    actor: User,
    title: str,
    body: str = "Restart it.",
    *,
    customer: Customer | None = None,
    visibility: str = CUSTOMERS,
    products: tuple[str, ...] = (),
    published: bool = True,
) -> Article:
    draft = Draft(title=title, body=body, visibility=visibility, customer=customer, products=products)
    with scope.user(actor):
        article = knowledge.write(draft=draft, actor=actor, now=NOW)
        return knowledge.publish(article=article, actor=actor, now=NOW) if published else article


def found(person: User, query: str) -> list[str]:
    with scope.user(person):
        return [
            article.title for article in Article.objects.published().searched(query).order_by(F("rank").desc(), "pk")
        ]


@pytest.mark.parametrize(
    ("query", "title"),
    [
        ("连接池耗尽", "数据库连接池被耗尽"),
        ("连接池", "数据库连接池被耗尽"),
        ("upstream timed", "Nginx 502 网关错误"),
        ("ngin", "Nginx 502 网关错误"),
        ("OOM", "Redis 内存不足"),
        ("allkeys-lru", "Redis 内存不足"),
        ("ＲＥＤＩＳ", "Redis 内存不足"),
    ],
)
def test_words_of_both_languages_find_their_article_first(lin: User, query: str, title: str) -> None:
    write(lin, "数据库连接池被耗尽", "应用报 Too many connections，调大 max_connections。")
    write(lin, "Nginx 502 网关错误", "error.log: upstream timed out (110)")
    write(lin, "Redis 内存不足", "OOM command not allowed，设置 maxmemory-policy allkeys-lru")
    assert found(lin, query)[:1] == [title]


@pytest.mark.parametrize("query", ["'", "a & b | !c", ":*", "\\", "%", "('x", "🦊", "的"])
def test_no_query_breaks_the_search(lin: User, client_for: ClientFor, query: str) -> None:
    write(lin, "Redis 内存不足")
    browser = client_for(lin)
    for address in ("/knowledge/", "/knowledge/search/", "/search/"):
        assert browser.get(address, {"q": query}).status_code == 200


def test_the_title_weighs_more_than_the_text(lin: User) -> None:
    write(lin, "Something else", "mysql mysql mysql")
    write(lin, "MySQL replication stops")
    assert found(lin, "mysql")[0] == "MySQL replication stops"


def test_customers_find_what_is_published_for_them_and_nothing_else(
    jia: Customer, yi: Customer, alice: User, eve: User, lin: User
) -> None:
    write(lin, "For all")
    write(lin, "Of jia", customer=jia)
    write(lin, "Inside", visibility=INTERNAL)
    write(lin, "Inside about jia", customer=jia, visibility=INTERNAL)
    draft = write(lin, "Draft for all", published=False)
    old = write(lin, "Old")
    with scope.user(lin):
        knowledge.retire(article=old, reason="Another version", actor=lin, now=NOW)
    with scope.user(alice):
        assert {article.title for article in Article.objects.all()} == {"For all", "Of jia"}
        assert not ArticleVersion.objects.exists()
    with scope.user(eve):
        assert {article.title for article in Article.objects.all()} == {"For all"}
        assert not Article.objects.filter(pk=draft.pk).exists()


def test_what_every_customer_reads_is_published_and_changed_by_a_manager(chen: User, lin: User) -> None:
    article = write(chen, "For all", published=False)
    with scope.user(chen), pytest.raises(DomainError) as refusal:
        knowledge.publish(article=article, actor=chen, now=NOW)
    assert refusal.value.code == "not_yours"
    with scope.user(lin):
        knowledge.publish(article=article, actor=lin, now=NOW)
        article.refresh_from_db()
    draft = Draft(title="Mine", body="x", visibility=CUSTOMERS, customer=None)
    with scope.user(chen), pytest.raises(PermissionDenied):
        knowledge.change(article=article, draft=draft, actor=chen, now=NOW)


def test_an_internal_article_does_not_reach_all_by_a_change(chen: User) -> None:
    article = write(chen, "Inside", visibility=INTERNAL)
    draft = Draft(title="Inside", body="x", visibility=CUSTOMERS, customer=None)
    with scope.user(chen), pytest.raises(DomainError) as refusal:
        knowledge.change(article=article, draft=draft, actor=chen, now=NOW)
    assert refusal.value.code == "not_yours"


def test_versions_stay_as_they_were_even_for_the_database(jia: Customer, chen: User) -> None:
    article = write(chen, "First", "one", customer=jia)
    draft = Draft(title="Second", body="two", visibility=CUSTOMERS, customer=jia)
    with scope.user(chen):
        changed = knowledge.change(article=article, draft=draft, note="better", version=1, actor=chen, now=NOW)
        assert [(old.number, old.title, old.body) for old in ArticleVersion.objects.filter(article=article)] == [
            (2, "Second", "two"),
            (1, "First", "one"),
        ]
        with pytest.raises(DomainError) as refusal:
            knowledge.change(article=changed, draft=draft, version=1, actor=chen, now=NOW)
        assert refusal.value.code == "changed_meanwhile"
        with pytest.raises(DatabaseError), transaction.atomic():
            ArticleVersion.objects.filter(article=article).update(body="forged")


def test_an_alarm_is_offered_the_article_of_its_product(jia: Customer, web: Asset, lin: User, chen: User) -> None:
    with scope.platform("test"):
        Asset.objects.filter(pk=web.pk).update(product="nginx")
    write(lin, "Nginx 端口无响应", products=("nginx",))
    write(lin, "Oracle 表空间不足", products=("oracle",))
    incident = alarm(web, title="端口 443 无响应")
    with scope.user(chen):
        offered = knowledge.suggested(Incident.objects.get(pk=incident.pk))
        assert [article.title for article in offered] == ["Nginx 端口无响应"]
        knowledge.link(article=offered[0], incident=incident, actor=chen, now=NOW)
        knowledge.link(article=offered[0], incident=incident, actor=chen, now=NOW)
        assert ArticleLink.objects.count() == 1
        assert knowledge.suggested(incident, but=[offered[0].pk]) == []


def test_an_article_about_one_customer_hangs_on_no_incident_of_another(
    jia: Customer, yi: Customer, eve: User, lin: User, alice: User
) -> None:
    article = write(lin, "Of jia", customer=jia)
    incident = raise_incident(eve, customer=yi)
    with scope.user(lin), pytest.raises(DomainError):
        knowledge.link(article=article, incident=incident, actor=lin, now=NOW)
    shared = write(lin, "For all")
    with scope.user(lin):
        knowledge.link(article=shared, incident=incident, actor=lin, now=NOW)
        draft = Draft(title="Of jia now", body="x", visibility=CUSTOMERS, customer=jia)
        with pytest.raises(DomainError):
            knowledge.change(article=shared, draft=draft, actor=lin, now=NOW)


# --- pages ----------------------------------------------------------------------------------------------------------


def test_from_the_solution_to_the_article_that_the_customer_reads(
    jia: Customer, alice: User, chen: User, client_for: ClientFor
) -> None:
    now = timezone.now()
    incident = raise_incident(alice, customer=jia, now=now)
    with scope.customer(jia):
        services.resolve(incident=incident, resolution="Raised the pool", cause="system", actor=chen, now=now)
    engineer = client_for(chen)
    assert "Raised the pool" in engineer.get(f"/knowledge/new/?incident={incident.pk}").content.decode()
    form = {
        "incident": incident.pk, "title": "Pool", "body": "Raise it to **500**", "visibility": "customers",
        "customer": jia.pk, "tags": "pool，db", "products": "MySQL, mysql",
    }  # fmt: skip
    assert engineer.post("/knowledge/new/", form).status_code == 302
    with scope.platform("test"):
        article = Article.objects.get()
        assert ArticleLink.objects.get().is_origin
    assert (article.tags, article.products) == (["pool", "db"], ["mysql"])
    customer = client_for(alice)
    assert customer.get(f"/knowledge/{article.pk}/").status_code == 404
    engineer.post(f"/knowledge/{article.pk}/publish/")
    assert "<strong>500</strong>" in customer.get(f"/knowledge/{article.pk}/").content.decode()
    assert "Pool" in customer.get("/knowledge/?product=mysql").content.decode()
    assert "Pool" in customer.get(f"/knowledge/for-incident/{incident.pk}/").content.decode()
    fragment = engineer.get(f"/knowledge/for-incident/{incident.pk}/").content.decode()
    assert "unlink" in fragment


def test_votes_are_one_per_person_and_may_change(
    jia: Customer, lin: User, alice: User, bob: User, vera: User, client_for: ClientFor
) -> None:
    article = write(lin, "For all")
    for person, word in ((alice, "1"), (bob, "0"), (alice, "1"), (lin, "1")):
        assert (
            client_for(person).post(f"/knowledge/{article.pk}/vote/", {"helpful": word}, headers=HTMX).status_code
            == 200
        )
    with scope.platform("test"):
        article.refresh_from_db()
    assert (article.helpful, article.unhelpful) == (2, 1)
    assert client_for(vera).post(f"/knowledge/{article.pk}/vote/", {"helpful": "1"}).status_code == 403


def test_hostile_text_is_shown_as_text(jia: Customer, lin: User, alice: User, client_for: ClientFor) -> None:
    article = write(lin, "<script>alert(1)</script>", "<script>alert(2)</script> [x](javascript:alert(3))")
    page = client_for(alice).get(f"/knowledge/{article.pk}/").content.decode()
    assert "<script>alert" not in page
    assert 'href="javascript' not in page
    shown = client_for(lin).post("/knowledge/preview/", {"body": "<img src=x onerror=alert(1)>"}).content.decode()
    assert "<img" not in shown


def test_customers_write_nothing(jia: Customer, lin: User, alice: User, client_for: ClientFor) -> None:
    article = write(lin, "For all")
    incident = raise_incident(alice, customer=jia)
    browser = client_for(alice)
    for path in ("new/", f"{article.pk}/change/", f"{article.pk}/retire/"):
        assert browser.get(f"/knowledge/{path}").status_code == 403
    for address in (
        f"/knowledge/{article.pk}/publish/",
        "/knowledge/preview/",
        f"/incidents/{incident.pk}/articles/{article.pk}/link/",
        f"/incidents/{incident.pk}/articles/{article.pk}/unlink/",
    ):
        assert browser.post(address).status_code == 403


def test_a_refused_change_comes_back_with_the_text(lin: User, chen: User, client_for: ClientFor) -> None:
    article = write(chen, "Inside", visibility=INTERNAL)
    form = {"title": "T", "body": "Typed at length", "visibility": "customers", "customer": "", "version": 1}
    page = client_for(chen).post(f"/knowledge/{article.pk}/change/", form)
    assert page.status_code == 422
    assert "Typed at length" in page.content.decode()


def test_the_pages_ask_a_constant_number_of_queries(
    jia: Customer, alice: User, chen: User, lin: User, client_for: ClientFor
) -> None:
    browser = client_for(chen)
    incident = raise_incident(alice, customer=jia, title="Port does not answer")
    addresses = ("/knowledge/", "/knowledge/?q=port", f"/knowledge/for-incident/{incident.pk}/")

    def queries() -> list[int]:
        counts = []
        for address in addresses:
            with CaptureQueriesContext(connection) as captured:
                assert browser.get(address).status_code == 200
            counts.append(len(captured))
        return counts

    write(lin, "Port does not answer")
    queries()
    few = queries()
    for number in range(12):
        article = write(lin, f"Port {number} does not answer")
        if number < 4:
            with scope.user(chen):
                knowledge.link(article=article, incident=incident, actor=chen, now=NOW)
    assert queries() == few


def test_a_machine_reads_what_its_person_may(jia: Customer, lin: User, alice: User) -> None:
    article = write(lin, "连接池耗尽")
    inside = write(lin, "Inside", visibility=INTERNAL)
    api = machine(alice)
    assert [each["title"] for each in api.get("/api/v1/articles/?q=连接池").json()["results"]] == ["连接池耗尽"]
    assert api.get(f"/api/v1/articles/{article.pk}/").json()["body"] == "Restart it."
    assert api.get(f"/api/v1/articles/{inside.pk}/").status_code == 404
