"""The REST API of service reports: the list, what was issued of one, its document; opening one and reading it again."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.http import Http404, HttpResponse
from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import TenantViewSet
from accounts.models import Customer
from accounts.permissions import person_of
from incidents.months import Month
from reports.kinds.registry import KINDS
from reports.models import ReportKind, ReportState, ServiceIssue, ServiceReport
from reports.services import documents, service_reports


class ReportFilter(django_filters.FilterSet):
    customer = django_filters.NumberFilter(field_name="customer_id")
    kind = django_filters.MultipleChoiceFilter(choices=ReportKind.choices)
    state = django_filters.MultipleChoiceFilter(choices=ReportState.choices)
    period = django_filters.CharFilter(help_text="`2026-03`.")


class ReportSerializer(serializers.ModelSerializer[ServiceReport]):
    class Meta:
        model = ServiceReport
        fields: tuple[str, ...] = (
            "id", "number", "customer", "kind", "period", "starts_at", "ends_at", "subject", "language", "state",
            "opened_at", "figures_at", "due_at", "sent_at", "missed_at",
        )  # fmt: skip
        read_only_fields = fields


class NewReportSerializer(serializers.Serializer[Any]):
    customer = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=[(kind.value, kind.label) for kind in ReportKind if kind in KINDS])
    period = serializers.CharField(max_length=7, help_text="`2026-03`.")
    subject = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)

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
        form = NewReportSerializer(data=request.data)
        form.is_valid(raise_exception=True)
        said = form.validated_data
        report = service_reports.open_by_hand(
            customer=get_object_or_404(Customer.objects.all(), pk=said["customer"]),
            kind=ReportKind(said["kind"]),
            month=said["period"],
            subject=said["subject"],
            actor=person_of(request),
            now=timezone.now(),
        )
        return Response(ReportSerializer(report).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses=IssueSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"])
    def issues(self, request: Request, **_kwargs: object) -> Response:
        """Every issue, the newest first, as it was signed."""
        rows: QuerySet[Any] = ServiceIssue.objects.filter(report=self.get_object()).order_by("-number")
        page: Any = self.paginate_queryset(rows)
        return self.get_paginated_response(IssueSerializer(page, many=True).data)

    @extend_schema(responses={(200, "application/pdf"): OpenApiTypes.BINARY}, filters=False)
    @action(detail=True, methods=["get"], url_path="pdf")
    def pdf(self, request: Request, **_kwargs: object) -> HttpResponse:
        """The document of the newest issue."""
        issue = ServiceIssue.objects.filter(report=self.get_object()).select_related("file").first()
        if issue is None or not issue.file.is_ready:
            raise Http404
        return HttpResponse(documents.read(issue.file), content_type="application/pdf")
