"""The REST API of monitoring: alerts, read-only."""

from __future__ import annotations

from typing import Any

import django_filters
from django.db.models import Q, QuerySet
from drf_spectacular.utils import extend_schema_field
from rest_framework import mixins, serializers

from accounts.api import TenantViewSet
from accounts.models import Severity
from monitoring.models import Alert


class AlertFilter(django_filters.FilterSet):
    open = django_filters.BooleanFilter(field_name="recovered_at", lookup_expr="isnull")
    severity = django_filters.MultipleChoiceFilter(choices=Severity.choices)
    customer = django_filters.NumberFilter(field_name="customer_id")
    asset = django_filters.NumberFilter(field_name="asset_id")
    incident = django_filters.NumberFilter(field_name="incident_id")
    rule = django_filters.CharFilter(field_name="rule_id")
    stale = django_filters.BooleanFilter(field_name="stale_since", lookup_expr="isnull", exclude=True)
    opened_after = django_filters.IsoDateTimeFilter(field_name="opened_at", lookup_expr="gte")
    opened_before = django_filters.IsoDateTimeFilter(field_name="opened_at", lookup_expr="lt")
    q = django_filters.CharFilter(method="by_words")

    def by_words(self, rows: QuerySet[Alert], _name: str, value: str) -> QuerySet[Alert]:
        for word in value.replace("\x00", "").split()[:8]:
            rows = rows.filter(Q(title__icontains=word) | Q(asset__name__icontains=word))
        return rows


class AlertSerializer(serializers.ModelSerializer[Alert]):
    """An alert. `samples` are the data points that fired it: [Unix milliseconds, value]."""

    metric = serializers.SerializerMethodField()
    asset_name = serializers.CharField(source="asset.name", read_only=True)

    class Meta:
        model = Alert
        fields = (
            "id", "customer", "asset", "asset_name", "rule_id", "metric", "labels", "severity", "title", "value",
            "condition", "samples", "first_breach_at", "opened_at", "detected_at", "notified_at", "acknowledged_at",
            "recovered_at", "recovered_value", "ending", "stale_since", "incident",
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(str)
    def get_metric(self, alert: Alert) -> str:
        return alert.series.metric if alert.series else ""


class AlertViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[Alert]):
    """Alerts of the customers in reach, newest first."""

    model = Alert
    serializer_class = AlertSerializer
    filterset_class = AlertFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[Any]:
        return Alert.objects.select_related("asset", "series")
