"""The knowledge base: finding, reading, writing, and the articles of an incident."""

from django.contrib import messages
from django.core.exceptions import PermissionDenied
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts import tables
from accounts.errors import DomainError
from accounts.fragments import is_fragment
from accounts.models import Customer, User
from accounts.permissions import is_provider, person_of, require
from incidents.knowledge_forms import ArticleForm, RetireForm, saying
from incidents.models import Article, ArticleLink, ArticleQuerySet, ArticleVersion, ArticleVote, Incident
from incidents.services import knowledge

FOUND = 6
form_view = require_http_methods(["GET", "HEAD", "POST"])


@require_safe
def index(request: HttpRequest) -> HttpResponse:
    person, query = person_of(request), request.GET.get("q", "").replace("\x00", "").strip()[:100]
    rows = Article.objects.select_related("customer", "changed_by").defer("body", "search")
    sort: dict[str, tables.SortBy] = {
        "changed": "changed_at", "title": "title", "helpful": ("helpful", "changed_at"), "state": ("state", "title"),
    }  # fmt: skip
    if query:
        rows, sort = rows.searched(query), {"relevance": ("rank", "helpful"), **sort}
    page = tables.page(
        request, rows, sort=sort, default="-relevance" if query else "-changed", filters=_filters(person), size=25
    )
    context = {"page": page, "query": query, "shows_all": is_provider(person), "common": _common_names()}
    return render(request, "incidents/knowledge.html", context)


@require_safe
def search(request: HttpRequest) -> HttpResponse:
    """The articles part of the search over everything."""
    query = request.GET.get("q", "").replace("\x00", "").strip()[:100]
    found = _ranked(Article.objects.published().defer("body", "search"), query)[:FOUND] if query else []
    return render(request, "incidents/_knowledge_search.html", {"articles": found})


@require_safe
def detail(request: HttpRequest, pk: int) -> HttpResponse:
    article, person = _get(pk), person_of(request)
    vote = ArticleVote.objects.filter(article=article, user=person).first()
    context = {
        "article": article,
        "vote": vote,
        "may_edit": knowledge.may_edit(person, article),
        "may_publish": knowledge.may_publish(person, article) and not article.is_published,
        "versions": ArticleVersion.objects.filter(article=article).select_related("saved_by").defer("body")[:50],
        "links": ArticleLink.objects.filter(article=article, incident__in=Incident.objects.all()).select_related(
            "incident"
        )[:20],
    }
    return render(request, "incidents/article.html", context)


@require_safe
@require(is_provider)
def version(request: HttpRequest, pk: int, version_id: int) -> HttpResponse:
    """What the article said then."""
    article = _get(pk)
    old = get_object_or_404(ArticleVersion.objects.select_related("saved_by"), article=article, pk=version_id)
    return render(request, "incidents/article_version.html", {"article": article, "old": old})


@form_view
@require(is_provider)
def create(request: HttpRequest) -> HttpResponse:
    """A new article; with `?incident=` it begins with what that incident says."""
    incident = _incident_asked_for(request)
    initial: dict[str, object] = {}
    if incident is not None:
        initial = saying(knowledge.from_incident(incident))
    form = ArticleForm(request.POST or None, customers=Customer.objects.all(), is_new=True, initial=initial)
    if request.method == "POST" and form.is_valid():
        try:
            made = knowledge.write(draft=form.draft(), incident=incident, actor=person_of(request), now=timezone.now())
        except DomainError as refusal:
            form.add_error(None, refusal.message)
        else:
            messages.success(request, _("The draft is kept. Publish it when it is ready."))
            return redirect("incidents:article", made.pk)
    context = {"form": form, "incident": incident}
    return render(request, "incidents/article_form.html", context, status=422 if form.errors else 200)


@form_view
@require(is_provider)
def change(request: HttpRequest, pk: int) -> HttpResponse:
    article, person = _get(pk), person_of(request)
    if not knowledge.may_edit(person, article):
        raise PermissionDenied
    form = ArticleForm(request.POST or None, customers=Customer.objects.all(), is_new=False, initial=saying(article))
    if request.method == "POST" and form.is_valid():
        said = {"note": form.cleaned_data["note"], "version": form.cleaned_data["version"]}
        try:
            knowledge.change(article=article, draft=form.draft(), actor=person, now=timezone.now(), **said)
        except DomainError as refusal:
            form.add_error(None, refusal.message)
        else:
            messages.success(request, _("Saved."))
            return redirect("incidents:article", article.pk)
    context = {"form": form, "article": article}
    return render(request, "incidents/article_form.html", context, status=422 if form.errors else 200)


@require_POST
@require(is_provider)
def preview(request: HttpRequest) -> HttpResponse:
    """The text as readers will see it, for the page on which it is written."""
    return render(request, "incidents/_prose.html", {"text": request.POST.get("body", "")[: knowledge.LONGEST]})


@require_POST
def publish(request: HttpRequest, pk: int) -> HttpResponse:
    article = knowledge.publish(article=_get(pk), actor=person_of(request), now=timezone.now())
    messages.success(request, _("Published."))
    return redirect("incidents:article", article.pk)


@form_view
@require(is_provider)
def retire(request: HttpRequest, pk: int) -> HttpResponse:
    article, person = _get(pk), person_of(request)
    if not knowledge.may_edit(person, article):
        raise PermissionDenied
    form = RetireForm(request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid():
        knowledge.retire(article=article, reason=form.cleaned_data["reason"], actor=person, now=timezone.now())
        return redirect("incidents:article", article.pk)
    context = {"form": form, "article": article}
    return render(request, "incidents/article_retire.html", context, status=422 if form.errors else 200)


@require_POST
def vote(request: HttpRequest, pk: int) -> HttpResponse:
    helped = request.POST.get("helpful") == "1"
    article = knowledge.vote(article=_get(pk), is_helpful=helped, actor=person_of(request), now=timezone.now())
    if not is_fragment(request):
        return redirect("incidents:article", article.pk)
    cast = ArticleVote.objects.filter(article=article, user=person_of(request)).first()
    return render(request, "incidents/_article_votes.html", {"article": article, "vote": cast})


@require_safe
def for_incident(request: HttpRequest, incident_id: int) -> HttpResponse:
    """Articles that belong to an incident and, for the provider, those that may help."""
    return _of_incident(request, _incident(incident_id))


@require_POST
@require(is_provider)
def link(request: HttpRequest, incident_id: int, article_id: int) -> HttpResponse:
    incident = _incident(incident_id)
    knowledge.link(article=_get(article_id), incident=incident, actor=person_of(request), now=timezone.now())
    return _of_incident(request, incident) if is_fragment(request) else redirect("incidents:detail", incident.pk)


@require_POST
@require(is_provider)
def unlink(request: HttpRequest, incident_id: int, article_id: int) -> HttpResponse:
    incident = _incident(incident_id)
    knowledge.unlink(article=_get(article_id), incident=incident, actor=person_of(request), now=timezone.now())
    return _of_incident(request, incident) if is_fragment(request) else redirect("incidents:detail", incident.pk)


def _of_incident(request: HttpRequest, incident: Incident) -> HttpResponse:
    links = knowledge.linked(incident)
    known = [each.article_id for each in links]
    query = request.GET.get("article_q", "").replace("\x00", "").strip()[:100]
    offered: list[Article] = []
    if is_provider(person_of(request)):
        rows = Article.objects.published().serving(incident.customer).exclude(pk__in=known).defer("body", "search")
        offered = _ranked(rows, query)[:FOUND] if query else knowledge.suggested(incident, but=known)
    context = {"incident": incident, "links": links, "offered": offered, "query": query}
    return render(request, "incidents/_articles.html", context)


def _ranked(rows: ArticleQuerySet, query: str) -> list[Article]:
    return list(rows.searched(query).order_by(F("rank").desc(), "-helpful", "-pk")[:FOUND])


def _get(pk: int) -> Article:
    """Unknown, foreign or not meant for this person is 404."""
    return get_object_or_404(Article.objects.select_related("customer", "created_by", "changed_by"), pk=pk)


def _incident(pk: int) -> Incident:
    return get_object_or_404(Incident.objects.select_related("customer").prefetch_related("assets"), pk=pk)


def _incident_asked_for(request: HttpRequest) -> Incident | None:
    asked = (request.POST or request.GET).get("incident", "")
    return _incident(int(asked)) if asked.isdecimal() and len(asked) < 15 else None


def _common_names() -> list[str]:
    """The products that most articles are about, to start from."""
    counts: dict[str, int] = {}
    for products in Article.objects.published().values_list("products", flat=True)[:500]:
        for name in products:
            counts[name] = counts.get(name, 0) + 1
    return sorted(counts, key=lambda name: (-counts[name], name))[:12]


def _filters(person: User) -> dict[str, tables.Filter]:
    names: dict[str, tables.Filter] = {"product": "products__contains", "tag": "tags__contains"}
    if not is_provider(person):
        return names
    return {
        "state": tables.Choice(_("State"), Article.State.choices, "state"),
        "visibility": tables.Choice(_("Who reads it"), Article.Visibility.choices, "visibility"),
        "customer": tables.Choice(
            _("Customer"), [(customer.pk, str(customer)) for customer in Customer.objects.all()], "customer_id"
        ),
        **names,
    }
