"""The REST API of the audit trail: events with their verdicts, and how a month was reconciled. It only reads."""

from datetime import date
from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework import mixins, serializers, views
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import TenantViewSet
from changes.models import TrailEvent, TrailVerdict
from changes.services import trail_verdicts
from incidents.api import PersonSerializer


class TrailEventFilter(django_filters.FilterSet):
    verdict = django_filters.MultipleChoiceFilter(choices=TrailVerdict.choices)
    customer = django_filters.NumberFilter(field_name="customer_id")
    asset = django_filters.NumberFilter(field_name="assets")
    change = django_filters.NumberFilter(field_name="change_id")
    incident = django_filters.NumberFilter(field_name="incident_id")
    service = django_filters.CharFilter(field_name="service", lookup_expr="iexact")
    action = django_filters.CharFilter(field_name="action", lookup_expr="iexact")
    actor = django_filters.CharFilter(field_name="actor_name", lookup_expr="iexact")
    rule = django_filters.CharFilter(field_name="rule")
    request_id = django_filters.CharFilter(field_name="request_id")
    after = django_filters.IsoDateTimeFilter(field_name="occurred_at", lookup_expr="gte")
    before = django_filters.IsoDateTimeFilter(field_name="occurred_at", lookup_expr="lt")


class TrailEventSerializer(serializers.ModelSerializer[TrailEvent]):
    assets: Any = serializers.PrimaryKeyRelatedField(many=True, read_only=True)
    decided_by = PersonSerializer(read_only=True, allow_null=True)

    class Meta:
        model = TrailEvent
        fields: tuple[str, ...] = (
            "id", "customer", "cloud_account", "event_id", "occurred_at", "seen_at", "service", "action", "region",
            "actor_type", "actor_name", "access_key_id", "source_ip", "request_id", "error_code", "resources", "assets",
            "verdict", "because", "rule", "known_as", "change", "incident", "decided_by", "decided_at", "reason",
        )  # fmt: skip
        read_only_fields = fields


class TrailEventViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[TrailEvent]):
    """What was changed on the cloud accounts in reach, and what each event is taken for."""

    model = TrailEvent
    serializer_class = TrailEventSerializer
    filterset_class = TrailEventFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[TrailEvent]:
        rows: QuerySet[TrailEvent] = TrailEvent.objects.for_lists()
        return rows


class ReconciledSerializer(serializers.Serializer[trail_verdicts.Reconciled]):
    customer = serializers.IntegerField(source="customer.pk")
    month = serializers.SerializerMethodField()
    counts = serializers.DictField(child=serializers.IntegerField(), help_text="Events by verdict.")
    total = serializers.IntegerField()
    incidents = serializers.IntegerField()

    def get_month(self, _row: trail_verdicts.Reconciled) -> str:
        return f"{self.context['first']:%Y-%m}"


class MonthSerializer(serializers.Serializer[Any]):
    month = serializers.RegexField(r"^20\d\d-(0[1-9]|1[0-2])$", required=False)


class ReconciliationView(views.APIView):
    """A month's events by verdict, for each customer in reach."""

    @extend_schema(
        parameters=[OpenApiParameter("month", str, description="2026-03; this month without it.")],
        responses=ReconciledSerializer(many=True),
    )
    def get(self, request: Request) -> Response:
        asked = MonthSerializer(data=request.query_params)
        asked.is_valid(raise_exception=True)
        text = asked.validated_data.get("month", f"{timezone.localdate():%Y-%m}")
        first = date.fromisoformat(f"{text}-01")
        rows = trail_verdicts.reconciled(first)
        return Response([ReconciledSerializer(row, context={"first": first}).data for row in rows])
