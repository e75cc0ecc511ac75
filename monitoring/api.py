"""The REST API of monitoring: alerts and silences; the rules are those of the pages."""

from __future__ import annotations

from typing import Any

import django_filters
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema, extend_schema_field
from rest_framework import mixins, serializers
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import TenantViewSet
from accounts.models import Customer, Severity
from accounts.windows import from_json
from monitoring.matching import Scope
from monitoring.models import Alert, Held, Silence
from monitoring.models.alert import AlertQuerySet
from monitoring.services import acks, silences
from monitoring.services.silences import ZONE
from monitoring.silence_forms import ZONES


class AlertFilter(django_filters.FilterSet):
    open = django_filters.BooleanFilter(field_name="recovered_at", lookup_expr="isnull")
    severity = django_filters.MultipleChoiceFilter(choices=Severity.choices)
    customer = django_filters.NumberFilter(field_name="customer_id")
    asset = django_filters.NumberFilter(field_name="asset_id")
    incident = django_filters.NumberFilter(field_name="incident_id")
    rule = django_filters.CharFilter(field_name="rule_id")
    stale = django_filters.BooleanFilter(field_name="stale_since", lookup_expr="isnull", exclude=True)
    held = django_filters.MultipleChoiceFilter(choices=Held.choices)
    flapping = django_filters.BooleanFilter(field_name="flapping_since", lookup_expr="isnull", exclude=True)
    acknowledged = django_filters.BooleanFilter(method="by_acknowledgement")
    opened_after = django_filters.IsoDateTimeFilter(field_name="opened_at", lookup_expr="gte")
    opened_before = django_filters.IsoDateTimeFilter(field_name="opened_at", lookup_expr="lt")
    q = django_filters.CharFilter(method="by_words")

    def by_acknowledgement(self, rows: AlertQuerySet, _name: str, value: bool) -> AlertQuerySet:
        return rows.acknowledged() if value else rows.exclude(pk__in=rows.acknowledged())

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
            "recovered_at", "recovered_value", "ending", "stale_since", "incident", "held", "cause", "flapping_since",
            "is_calm", "acknowledged_by", "ack_comment", "ack_until", "ack_expired_at",
        )  # fmt: skip
        read_only_fields = fields

    @extend_schema_field(str)
    def get_metric(self, alert: Alert) -> str:
        return alert.series.metric if alert.series else ""


class AckSerializer(serializers.Serializer[Any]):
    """How long an acknowledgement counts; null until the alert ends."""

    comment = serializers.CharField(max_length=300, required=False, default="", allow_blank=True)
    until = serializers.DateTimeField(required=False, default=None, allow_null=True)


class AlertViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[Alert]):
    """Alerts of the customers in reach, newest first. `held` says why nobody was told: silenced or inhibited."""

    model = Alert
    serializer_class = AlertSerializer
    filterset_class = AlertFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[Any]:
        return Alert.objects.select_related("asset", "series")

    @extend_schema(request=AckSerializer, responses=AlertSerializer)
    @action(detail=True, methods=["post"])
    def acknowledge(self, request: Request, **_kwargs: object) -> Response:
        """Take it in hand, and its incident with it. Of the provider only."""
        said = AckSerializer(data=request.data)
        said.is_valid(raise_exception=True)
        alert = self.get_object()
        acks.acknowledge(alerts=[alert], actor=self.person, now=timezone.now(), **said.validated_data)
        return Response(AlertSerializer(self.rows().get(pk=alert.pk)).data)

    @extend_schema(request=None, responses=AlertSerializer)
    @action(detail=True, methods=["post"])
    def withdraw(self, _request: Request, **_kwargs: object) -> Response:
        """Take the acknowledgement back."""
        alert = acks.withdraw(alert=self.get_object(), actor=self.person, now=timezone.now())
        return Response(AlertSerializer(self.rows().get(pk=alert.pk)).data)


class SilenceSerializer(serializers.ModelSerializer[Silence]):
    """A silence. Empty lists mean all. `windows`: {"from", "to"} with ISO moments, or {"days", "from", "to", "until"}
    with days of the week from 0 (Monday) and wall times of `timezone`."""

    class Meta:
        model = Silence
        fields = (
            "id", "customer", "reason", "source", "asset_ids", "group_ids", "rule_ids", "labels", "windows",
            "timezone", "over_at", "created_by", "created_at", "ended_by", "ended_at",
        )  # fmt: skip
        read_only_fields = fields


class NewSilenceSerializer(serializers.Serializer[Any]):
    customer = serializers.PrimaryKeyRelatedField(queryset=Customer.objects.none())
    reason = serializers.CharField(max_length=300)
    asset_ids = serializers.ListField(child=serializers.IntegerField(), required=False, default=list, max_length=1000)
    group_ids = serializers.ListField(child=serializers.IntegerField(), required=False, default=list, max_length=1000)
    rule_ids = serializers.ListField(
        child=serializers.CharField(max_length=60), required=False, default=list, max_length=200
    )
    labels = serializers.DictField(child=serializers.CharField(max_length=300), required=False, default=dict)
    timezone = serializers.ChoiceField(choices=[name for name, _ in ZONES], required=False, default=ZONE)
    windows = serializers.ListField(child=serializers.DictField(), min_length=1, max_length=20)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["customer"].queryset = Customer.objects.all()  # type: ignore[attr-defined]  # those in reach

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        try:
            attrs["windows"] = from_json(attrs["windows"], attrs["timezone"])
        except (KeyError, TypeError, ValueError) as problem:
            raise serializers.ValidationError({"windows": [str(problem)]}) from problem
        return attrs


class SilenceViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[Silence]):
    """Silences of the customers in reach, newest first. Made and ended by the provider only."""

    model = Silence
    serializer_class = SilenceSerializer
    lookup_value_converter = "int"

    @extend_schema(request=NewSilenceSerializer, responses={201: SilenceSerializer})
    def create(self, request: Request, **_kwargs: object) -> Response:
        """Silence part of a customer."""
        if not self.person.is_provider:
            raise PermissionDenied
        given = NewSilenceSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        said = given.validated_data
        scope = Scope(
            frozenset(said["asset_ids"]), frozenset(said["group_ids"]), frozenset(said["rule_ids"]), said["labels"]
        )
        silence = silences.create(
            customer=said["customer"],
            reason=said["reason"],
            windows=said["windows"],
            scope=scope,
            timezone=said["timezone"],
            actor=self.person,
            now=timezone.now(),
        )
        return Response(SilenceSerializer(silence).data, status=201)

    @extend_schema(request=None, responses=SilenceSerializer)
    @action(detail=True, methods=["post"])
    def end(self, _request: Request, **_kwargs: object) -> Response:
        """End it now: what still fires is told."""
        silence = silences.end(silence=self.get_object(), actor=self.person, now=timezone.now())
        return Response(SilenceSerializer(silence).data)
