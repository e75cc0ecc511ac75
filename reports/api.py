"""The REST API of service reports: the list, what was issued of one, its document; asking for one, reading it again."""

from __future__ import annotations

from typing import Any, Final

import django_filters
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import TenantViewSet
from accounts.models import Customer
from accounts.permissions import is_provider, person_of
from assets.models import Asset
from incidents.models import Incident
from incidents.months import Month
from reports.kinds.registry import KINDS
from reports.models import ReportKind, ReportState, ServiceIssue, ServiceReport
from reports.service_forms import WHOLE
from reports.services import documents, sending, service_reports

INTERNAL: Final = frozenset({"state", "missed_at"})


class ReportFilter(django_filters.FilterSet):
    customer = django_filters.NumberFilter(field_name="customer_id")
    kind = django_filters.MultipleChoiceFilter(choices=ReportKind.choices)
    state = django_filters.MultipleChoiceFilter(
        choices=ReportState.choices, method="of_state", help_text="Only for the provider's people."
    )
    period = django_filters.CharFilter(help_text="`2026-03`.")

    def of_state(self, rows: QuerySet[ServiceReport], _name: str, states: list[str]) -> QuerySet[ServiceReport]:
        return rows.filter(state__in=states) if is_provider(person_of(self.request)) else rows


class ReportSerializer(serializers.ModelSerializer[ServiceReport]):
    """How far a report is and what it missed, the provider keeps to itself, here as on the pages."""

    class Meta:
        model = ServiceReport
        fields: tuple[str, ...] = (
            "id", "number", "customer", "kind", "period", "starts_at", "ends_at", "subject", "language", "state",
            "opened_at", "figures_at", "due_at", "sent_at", "missed_at",
        )  # fmt: skip
        read_only_fields = fields

    def to_representation(self, instance: ServiceReport) -> dict[str, Any]:
        said = super().to_representation(instance)
        if is_provider(person_of(self.context["request"])):
            return said
        return {name: value for name, value in said.items() if name not in INTERNAL}


class NewReportSerializer(serializers.Serializer[Any]):
    customer = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=[(kind.value, kind.label) for kind in ReportKind if kind in KINDS])
    period = serializers.CharField(max_length=7, help_text="`2026-03`.")
    subject = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)
    resources = serializers.ListField(
        child=serializers.IntegerField(), required=False, default=list, max_length=500,
        help_text="Ids; none: all. The monthly report has all.",
    )  # fmt: skip
    incident = serializers.IntegerField(
        required=False, allow_null=True, default=None, help_text="Id, for a fault analysis."
    )

    def validate_period(self, text: str) -> Month:
        try:
            return Month.parse(text)
        except ValueError:
            raise serializers.ValidationError("A month, such as 2026-03.") from None


class IssueSerializer(serializers.ModelSerializer[ServiceIssue]):
    content = serializers.JSONField(
        help_text="Parts with their texts and blocks: figures, tables, charts, remarks; each with where it comes from."
    )

    class Meta:
        model = ServiceIssue
        fields: tuple[str, ...] = ("id", "number", "signed_name", "signed_at", "reason", "sha256", "content")
        read_only_fields = fields


class ServiceReportViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[ServiceReport]):
    """Reports of a month; a customer's people find those that were sent to them."""

    model = ServiceReport
    serializer_class = ReportSerializer
    filterset_class = ReportFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[ServiceReport]:
        return ServiceReport.objects.for_lists()

    @extend_schema(request=NewReportSerializer, responses={201: ReportSerializer})
    def create(self, request: Request) -> Response:
        """Ask for a report; its figures are read by a worker. The monthly one that is there already is returned."""
        said = self.said(NewReportSerializer)
        if not is_provider(self.person):
            raise PermissionDenied
        customer = get_object_or_404(Customer.objects.all(), pk=said["customer"])
        report = service_reports.open_by_hand(
            customer=customer,
            kind=ReportKind(said["kind"]),
            month=said["period"],
            subject=said["subject"],
            wishes=_wishes(customer, said),
            **self.who(),
        )
        return self.shown(report, status.HTTP_201_CREATED)

    @extend_schema(request=None, responses={202: ReportSerializer})
    @action(detail=True, methods=["post"], url_path="read-again")
    def read_again(self, request: Request, **_kwargs: object) -> Response:
        """Have the figures of a draft read anew by a worker; texts that somebody edited stay as they are."""
        report = self.get_object()
        service_reports.read_again(report=report, **self.who())
        return self.shown(report, status.HTTP_202_ACCEPTED)

    @extend_schema(responses=IssueSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"])
    def issues(self, request: Request, **_kwargs: object) -> Response:
        """Every issue, the newest first, as it was signed. To a recipient it counts as read."""
        rows: QuerySet[Any] = ServiceIssue.objects.filter(report=self.get_object()).order_by("-number")
        page: Any = self.paginate_queryset(rows.select_related("report"))
        for issue in page:
            sending.note_reading(issue=issue, person=self.person, now=timezone.now())
        return self.get_paginated_response(IssueSerializer(page, many=True).data)

    @extend_schema(responses={(200, "application/pdf"): OpenApiTypes.BINARY}, filters=False)
    @action(detail=True, methods=["get"], url_path="pdf")
    def pdf(self, request: Request, **_kwargs: object) -> HttpResponse:
        """The document of the newest issue. To a recipient it counts as read."""
        issue = ServiceIssue.objects.filter(report=self.get_object()).select_related("file", "report").first()
        if issue is None or not issue.file.is_ready:
            raise Http404
        response = HttpResponse(documents.read(issue.file), content_type="application/pdf")
        sending.note_reading(issue=issue, person=self.person, now=timezone.now())
        return response


def _wishes(customer: Customer, said: dict[str, Any]) -> dict[str, Any]:
    """The resources and the incident that were named; ValidationError for what is not this customer's."""
    wishes: dict[str, Any] = {}
    if wanted := set(said["resources"]):
        if said["kind"] in WHOLE:
            complaint = _("This kind of report is about everything: leave the resources empty.")
            raise serializers.ValidationError({"resources": [complaint]})
        known = Asset.objects.filter(customer=customer, pk__in=wanted).values_list("pk", flat=True)
        if missing := wanted.difference(known):
            complaint = _("This customer has no resource “%(name)s”.") % {"name": min(missing)}
            raise serializers.ValidationError({"resources": [complaint]})
        wishes["assets"] = sorted(wanted)
    if said["incident"] is not None:
        incidents = Incident.objects.filter(customer=customer).for_both_sides()
        if not incidents.filter(pk=said["incident"]).exists():
            raise serializers.ValidationError({"incident": [_("This customer has no such incident.")]})
        wishes["incident"] = said["incident"]
    return wishes
