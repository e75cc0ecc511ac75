"""Writing on an incident: the composer, whom one can name in it, and replies kept for again."""

from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_POST, require_safe

from accounts import scope, tables
from accounts.errors import DomainError
from accounts.fragments import is_fragment
from accounts.models import Customer, User
from accounts.permissions import can_write, is_provider, person_of, require
from incidents import services
from incidents.forms import CannedReplyForm, CommentForm
from incidents.models import CannedReply, Incident
from incidents.people import mentionable
from incidents.replies import BLANKS, fill
from incidents.services.keeping import REPLIES
from incidents.views.answers import answer
from incidents.views.incident import about, form_view, get_incident


@require_POST
def comment(request: HttpRequest, pk: int) -> HttpResponse:
    """Write on it. What was refused comes back with what was typed; nothing typed is lost."""
    incident, person = get_incident(pk), person_of(request)
    form = CommentForm(request.POST, request.FILES)
    if form.is_valid():
        said = {"body": form.cleaned_data["body"], "files": form.cleaned_data["attachments"]}
        internal = form.cleaned_data["is_internal"]
        try:
            services.comment(incident=incident, is_internal=internal, actor=person, now=timezone.now(), **said)
        except DomainError as refusal:
            form.add_error(None, str(refusal))
        else:
            return answer(request, incident, "", anchor="#last", event="comment:sent")
    name = "incidents/_composer.html" if is_fragment(request) else "incidents/incident.html"
    return render(request, name, {**about(request, incident), "form": form, "comment_form": form}, status=422)


@require_safe
@require(can_write)
def people(request: HttpRequest, pk: int) -> JsonResponse:
    """Whom a text on this incident may name."""
    incident = get_incident(pk)
    internal = request.GET.get("internal") == "1" and is_provider(person_of(request))
    found = mentionable(incident, person_of(request), is_internal=internal)[:500]
    rows = [{"name": each.name, "side": str(each.customer or _("Service team"))} for each in _with_sides(found)]
    return JsonResponse({"people": rows})


def _with_sides(people: QuerySet[User]) -> QuerySet[User]:
    return people.select_related("customer")


@require_safe
@require(is_provider)
def replies(request: HttpRequest, pk: int) -> HttpResponse:
    """The replies for this incident, filled in, to be put into the composer."""
    incident, person = get_incident(pk), person_of(request)
    facts = _facts(incident, person)
    with scope.platform(REPLIES):
        rows = list(services.replies_for(person, incident.customer_id))
    filled = [(reply, fill(reply.body, facts)) for reply in rows]
    return render(request, "incidents/_replies.html", {"replies": filled})


def _facts(incident: Incident, person: User) -> dict[str, str]:
    due = incident.next_due_at
    return {
        "number": incident.number,
        "title": incident.title,
        "customer": incident.customer.name,
        "asset": next((asset.name for asset in incident.assets.all()), ""),
        "name": person.name,
        "phone": person.phone,
        "due": f"{timezone.localtime(due):%m-%d %H:%M}" if due else "",
    }


@require_safe
@require(is_provider)
def reply_list(request: HttpRequest) -> HttpResponse:
    person = person_of(request)
    with scope.platform(REPLIES):
        page = tables.page(
            request,
            _in_reach(person).select_related("customer"),
            sort={"name": "name", "customer": "customer__name", "changed": "changed_at"},
            default="name",
            search=["name", "body"],
        )
    return render(request, "incidents/replies.html", {"page": page})


@form_view
@require(is_provider)
def reply_form(request: HttpRequest, pk: int | None = None) -> HttpResponse:
    """Add a reply or change one."""
    person, reply = person_of(request), None if pk is None else _reply(request, pk)
    form = CannedReplyForm(request.POST or None, customers=Customer.objects.all(), reply=reply)
    if request.method == "POST" and form.is_valid():
        try:
            services.keep_reply(reply=reply, actor=person, now=timezone.now(), **form.cleaned_data)
        except DomainError as refusal:
            form.add_error("name", str(refusal))
        else:
            return redirect("incidents:replies")
    context = {"form": form, "reply": reply, "blanks": [f"{{{name}}}" for name in BLANKS]}
    return render(request, "incidents/reply_form.html", context, status=422 if form.errors else 200)


@require_POST
@require(is_provider)
def reply_remove(request: HttpRequest, pk: int) -> HttpResponse:
    services.remove_reply(reply=_reply(request, pk), actor=person_of(request), now=timezone.now())
    return redirect("incidents:replies")


def _reply(request: HttpRequest, pk: int) -> CannedReply:
    """One within this person's reach; whoever serves a few customers leaves the others' alone."""
    with scope.platform(REPLIES):
        found: CannedReply | None = _in_reach(person_of(request)).filter(pk=pk).select_related("customer").first()
    if found is None:
        raise Http404
    return found


def _in_reach(person: User) -> QuerySet[CannedReply]:
    if not person.is_provider:
        raise PermissionDenied
    reach = person.reachable_customer_ids()
    rows: QuerySet[CannedReply] = CannedReply.objects.all()
    return rows if reach is None else rows.filter(Q(customer=None) | Q(customer_id__in=list(reach)))
