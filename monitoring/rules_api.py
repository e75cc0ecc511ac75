"""The REST API of rules: what holds where, overrides, groups, and trying a rule on stored figures."""

from __future__ import annotations

from typing import Any, Final

import django_filters
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import mixins, serializers, status, viewsets
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import TenantViewSet
from accounts.models import Customer, Severity, User
from accounts.permissions import is_provider
from assets.models import Asset, Kind
from monitoring.levels import MACRO, Effective, Override, Resolver, Threshold, origins
from monitoring.models import AssetGroup, RuleOverride, RuleSchedule
from monitoring.rules import RULES, Condition, Rule, as_json
from monitoring.services import dry_run, groups, levels, overrides
from monitoring.services.dry_run import DryRun
from monitoring.services.overrides import Wish

MOST_ID: Final = 2**63 - 1
SEVERITIES: Final = [(one.name.lower(), one.label) for one in Severity]


@extend_schema_field({"oneOf": [{"type": "number"}, {"type": "string"}]})
class ThresholdField(serializers.Field[Any, Any, Any, Any]):
    """A number, or the name of a macro such as {$FS.FREE.MIN}."""

    def to_internal_value(self, data: object) -> Threshold:
        if isinstance(data, str) and MACRO.fullmatch(data):
            return data
        if isinstance(data, bool) or not isinstance(data, int | float) or not abs(data) < 1e300:
            raise serializers.ValidationError(_("Write a number, or the name of a macro such as {$FS.FREE.MIN}."))
        return float(data)

    def to_representation(self, value: Threshold) -> Threshold:
        return value


class WishSerializer(serializers.Serializer[Any]):
    """How a rule shall hold otherwise, and where: for the customer, a group, an asset, or one part of an asset."""

    customer = serializers.IntegerField(min_value=1, max_value=MOST_ID)
    rule_id = serializers.SlugField(max_length=60)
    group = serializers.IntegerField(min_value=1, max_value=MOST_ID, required=False, allow_null=True)
    asset = serializers.IntegerField(min_value=1, max_value=MOST_ID, required=False, allow_null=True)
    labels = serializers.CharField(max_length=1000, required=False, allow_blank=True, default="")
    enabled = serializers.BooleanField(required=False, allow_null=True, default=None)
    severity = serializers.ChoiceField(choices=SEVERITIES, required=False, allow_null=True)
    times = serializers.IntegerField(min_value=1, max_value=60, required=False, allow_null=True)
    period_s = serializers.IntegerField(min_value=1, max_value=86_400, required=False, allow_null=True)
    thresholds = serializers.ListField(child=ThresholdField(), required=False, allow_null=True, max_length=2)
    recovery = serializers.ListField(child=ThresholdField(), required=False, allow_null=True, max_length=2)
    recovery_times = serializers.IntegerField(min_value=1, max_value=60, required=False, allow_null=True)
    schedule = serializers.IntegerField(min_value=1, max_value=MOST_ID, required=False, allow_null=True)
    round_the_clock = serializers.BooleanField(required=False, default=False)
    channels = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=MOST_ID), required=False, allow_null=True, max_length=50
    )
    flap_changes = serializers.IntegerField(min_value=2, max_value=200, required=False, allow_null=True)
    flap_window_s = serializers.IntegerField(min_value=60, max_value=86_400, required=False, allow_null=True)
    reason = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        customer = found(Customer.objects.filter(pk=attrs["customer"]), "customer")
        own = {"customer": customer}
        attrs["customer"] = customer
        if attrs["rule_id"] not in RULES:
            raise serializers.ValidationError({"rule_id": _("There is no such rule.")})
        for name, model in (("group", AssetGroup), ("asset", Asset), ("schedule", RuleSchedule)):
            pk = attrs.get(name)
            attrs[name] = None if pk is None else found(model._default_manager.filter(pk=pk, **own), name)
        if attrs["group"] is not None and attrs["asset"] is not None:
            raise serializers.ValidationError({"group": _("Either a group or an asset.")})
        if attrs["labels"] and attrs["asset"] is None:
            raise serializers.ValidationError({"labels": _("A part belongs to an asset: name it too.")})
        return attrs

    @property
    def wish(self) -> Wish:
        data = self.validated_data
        severity = data.get("severity")
        return Wish(
            enabled=data["enabled"],
            severity=None if severity is None else Severity[severity.upper()],
            times=data.get("times"),
            period_s=data.get("period_s"),
            thresholds=_tuple(data.get("thresholds")),
            recovery=_tuple(data.get("recovery")),
            recovery_times=data.get("recovery_times"),
            schedule=data["schedule"],
            round_the_clock=data["round_the_clock"],
            channels=_tuple(data.get("channels")),
            flap_changes=data.get("flap_changes"),
            flap_window_s=data.get("flap_window_s"),
        )

    @property
    def place(self) -> dict[str, Any]:
        return {name: self.validated_data[name] for name in ("group", "asset", "labels")}

    @property
    def rule(self) -> Rule:
        return RULES[self.validated_data["rule_id"]]


def _tuple(values: list[Any] | None) -> tuple[Any, ...] | None:
    return None if values is None else tuple(values)


def found(rows: QuerySet[Any], name: str) -> Any:
    """The one row that a field names; ValidationError of that field when it is out of reach."""
    row = rows.first()
    if row is None:
        raise serializers.ValidationError({name: _("It does not exist.")})
    return row


class OverrideSerializer(serializers.ModelSerializer[RuleOverride]):
    class Meta:
        model = RuleOverride
        fields = (
            "id", "customer", "rule_id", "group", "asset", "labels", "enabled", "severity", "times", "period_s",
            "thresholds", "recovery", "recovery_times", "schedule", "round_the_clock", "channels",
            "flap_changes", "flap_window_s", "reason", "changed_by", "changed_at",
        )  # fmt: skip
        read_only_fields = fields


class OverrideFilter(django_filters.FilterSet):
    customer = django_filters.NumberFilter(field_name="customer_id")
    asset = django_filters.NumberFilter(field_name="asset_id")
    group = django_filters.NumberFilter(field_name="group_id")
    rule = django_filters.CharFilter(field_name="rule_id")


@extend_schema(tags=["rules"])
class OverrideViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[RuleOverride]):
    """What customers have otherwise than the rules that ship."""

    model = RuleOverride
    serializer_class = OverrideSerializer
    filterset_class = OverrideFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[Any]:
        return RuleOverride.objects.order_by("rule_id", "pk")

    @extend_schema(request=WishSerializer, responses={201: OverrideSerializer})
    def create(self, request: Request) -> Response:
        """Let a rule hold otherwise somewhere; what stood at that place is replaced."""
        if not is_provider(self.person):
            raise PermissionDenied
        given = WishSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        row = overrides.override(
            customer=given.validated_data["customer"],
            rule=given.rule,
            wish=given.wish,
            reason=given.validated_data["reason"],
            actor=self.person,
            now=timezone.now(),
            **given.place,
        )
        return Response(OverrideSerializer(row).data, status=status.HTTP_201_CREATED)

    @extend_schema(parameters=[OpenApiParameter("reason", str, required=True)], responses={204: None})
    def destroy(self, request: Request, **_kwargs: object) -> Response:
        """Let the rule hold as the wider level says again."""
        row = self.get_object()
        if not is_provider(self.person):
            raise PermissionDenied
        reason = request.query_params.get("reason", "")
        overrides.restore(override=row, reason=reason, actor=self.person, now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)


# --- groups ----------------------------------------------------------------------------------------------------------


class GroupSerializer(serializers.ModelSerializer[AssetGroup]):
    """`assets` are all that are in it, named or matching; the group with the smaller rank has the last word."""

    assets = serializers.SerializerMethodField()

    class Meta:
        model = AssetGroup
        fields = ("id", "customer", "name", "description", "rank", "tag", "kinds", "assets", "changed_at")
        read_only_fields = fields

    def get_assets(self, group: AssetGroup) -> list[int]:
        return [asset.pk for asset in levels.members(group)]


class NewGroupSerializer(serializers.Serializer[Any]):
    customer = serializers.IntegerField(min_value=1, max_value=MOST_ID)
    name = serializers.CharField(max_length=80)
    description = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")
    tag = serializers.CharField(max_length=200, required=False, allow_blank=True, default="")
    kinds = serializers.ListField(child=serializers.ChoiceField(choices=Kind.choices), required=False, default=list)
    assets = serializers.ListField(
        child=serializers.IntegerField(min_value=1, max_value=MOST_ID), required=False, default=list, max_length=5000
    )

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs["customer"] = found(Customer.objects.filter(pk=attrs["customer"]), "customer")
        wanted = set(attrs["assets"])
        attrs["assets"] = list(Asset.objects.filter(customer=attrs["customer"], pk__in=wanted))
        if len(attrs["assets"]) != len(wanted):
            raise serializers.ValidationError({"assets": _("It does not exist.")})
        return attrs


class GroupFilter(django_filters.FilterSet):
    customer = django_filters.NumberFilter(field_name="customer_id")


@extend_schema(tags=["rules"])
class GroupViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[AssetGroup]):
    """Groups of assets, to which rules and macros may be said at once."""

    model = AssetGroup
    serializer_class = GroupSerializer
    filterset_class = GroupFilter
    lookup_value_converter = "int"

    @extend_schema(request=NewGroupSerializer, responses={201: GroupSerializer})
    def create(self, request: Request) -> Response:
        """Make a group. It comes last in rank."""
        return self._save(request, None)

    @extend_schema(request=NewGroupSerializer, responses=GroupSerializer)
    def update(self, request: Request, **_kwargs: object) -> Response:
        """Say anew who is in it; its rank stays."""
        return self._save(request, self.get_object())

    def _save(self, request: Request, group: AssetGroup | None) -> Response:
        if not is_provider(self.person):
            raise PermissionDenied
        given = NewGroupSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        if group is not None and given.validated_data["customer"].pk != group.customer_id:
            raise serializers.ValidationError({"customer": _("A group stays with its customer.")})
        row = groups.save(group=group, actor=self.person, now=timezone.now(), **given.validated_data)
        code = status.HTTP_201_CREATED if group is None else status.HTTP_200_OK
        return Response(GroupSerializer(row).data, status=code)

    @extend_schema(responses={204: None})
    def destroy(self, _request: Request, **_kwargs: object) -> Response:
        """Refused while rules or macros speak of it."""
        row = self.get_object()
        if not is_provider(self.person):
            raise PermissionDenied
        groups.remove(group=row, actor=self.person, now=timezone.now())
        return Response(status=status.HTTP_204_NO_CONTENT)


# --- rules -----------------------------------------------------------------------------------------------------------


class HeldSerializer(serializers.Serializer[Any]):
    """The rule as it holds at a place; `said_by` names the level that has the last word on each field."""

    enabled = serializers.BooleanField()
    severity = serializers.CharField()
    times = serializers.IntegerField()
    recovery_times = serializers.IntegerField()
    period_s = serializers.FloatField()
    conditions = serializers.ListField(child=serializers.CharField())
    recovery = serializers.ListField(child=serializers.CharField())
    schedule = serializers.CharField(allow_null=True)
    channels = serializers.ListField(child=serializers.IntegerField())
    flap_changes = serializers.IntegerField(allow_null=True)
    flap_window_s = serializers.IntegerField(allow_null=True)
    said_by = serializers.DictField(child=serializers.CharField())


class RuleSerializer(serializers.Serializer[Any]):
    """A rule: what the contract says, what ships, and, for a customer or an asset, what holds there."""

    id = serializers.CharField()
    product = serializers.CharField()
    name_zh = serializers.CharField()
    name_en = serializers.CharField()
    severity = serializers.CharField()
    sow = serializers.JSONField()
    effective = serializers.JSONField()
    holds = HeldSerializer(allow_null=True)


class FiredSerializer(serializers.Serializer[Any]):
    asset = serializers.IntegerField(source="series.asset_id")
    labels = serializers.CharField(source="series.labels")
    opened_at = serializers.DateTimeField()
    closed_at = serializers.DateTimeField(allow_null=True)
    value = serializers.FloatField()


class DryRunSerializer(serializers.Serializer[DryRun]):
    """What a rule would have done. `is_complete` false: the time was up before all assets had been looked at."""

    start = serializers.DateTimeField()
    end = serializers.DateTimeField()
    count = serializers.IntegerField()
    assets = serializers.IntegerField()
    assets_seen = serializers.IntegerField()
    assets_fired = serializers.IntegerField()
    samples = serializers.IntegerField()
    is_complete = serializers.BooleanField()
    fired = FiredSerializer(many=True)


PLACE: Final = [
    OpenApiParameter("customer", OpenApiTypes.INT64, description="Whose rules; the token's own customer by itself."),
    OpenApiParameter("asset", OpenApiTypes.INT64, description="What holds on this asset."),
    OpenApiParameter("labels", str, description='One part of the asset, such as mountpoint="/data".'),
]


@extend_schema(tags=["rules"])
class RuleViewSet(viewsets.ViewSet):
    """The alert rules: the SOW's 90 and our own."""

    lookup_field = "rule_id"
    lookup_value_converter = "slug"
    serializer_class = RuleSerializer

    @property
    def person(self) -> User:
        user = self.request.user
        if not isinstance(user, User):
            raise PermissionDenied
        return user

    @extend_schema(parameters=PLACE, responses=RuleSerializer(many=True))
    def list(self, request: Request) -> Response:
        """All rules; with `customer` also as they hold for it."""
        place = self._place(request)
        return Response([_told(rule, place) for rule in RULES.values()])

    @extend_schema(parameters=PLACE, responses=RuleSerializer)
    def retrieve(self, request: Request, rule_id: str) -> Response:
        """One rule; with `customer`, `asset` and `labels` also as it holds there."""
        return Response(_told(_rule(rule_id), self._place(request)))

    @extend_schema(request=WishSerializer, responses=DryRunSerializer)
    @action(detail=True, methods=["post"], url_path="dry-run")
    def dry_run(self, request: Request, rule_id: str) -> Response:
        """How often the rule would have fired in the last 7 days if it held as the body says. Nothing is saved."""
        if not is_provider(self.person):
            raise PermissionDenied
        given = WishSerializer(data={**dict(request.data), "rule_id": _rule(rule_id).id})
        given.is_valid(raise_exception=True)
        customer, wish, place = given.validated_data["customer"], given.wish, given.place
        override = None if wish.is_empty else wish.at(given.rule, **place)
        if override is not None:
            overrides.check(customer=customer, rule=given.rule, override=override, wish=wish)
        assets = None
        if place["asset"] is not None:
            assets = [place["asset"].pk]
        elif place["group"] is not None:
            assets = [asset.pk for asset in levels.members(place["group"])]
        run = dry_run.try_rule(customer=customer, rule=given.rule, override=override, assets=assets, now=timezone.now())
        return Response(DryRunSerializer(run).data)

    def _place(self, request: Request) -> tuple[Resolver, int | None, str] | None:
        asset_id = _number(request.query_params.get("asset"))
        if asset_id:
            asset = get_object_or_404(Asset.objects.select_related("customer"), pk=asset_id)
            return Resolver(levels.load(asset.customer)), asset.pk, request.query_params.get("labels", "")
        own = self.person.customer
        wanted = _number(request.query_params.get("customer"))
        if own is None and not wanted:
            return None
        customer = get_object_or_404(Customer.objects, pk=wanted) if wanted else own
        return Resolver(levels.load(customer)), None, ""


def _rule(rule_id: str) -> Rule:
    if rule_id not in RULES:
        raise Http404
    return RULES[rule_id]


def _told(rule: Rule, place: tuple[Resolver, int | None, str] | None) -> dict[str, object]:
    holds = None
    if place is not None:
        resolver, asset_id, labels = place
        effective = resolver.wide(rule) if asset_id is None else resolver.of(rule, asset_id, labels)
        holds = _held(effective, resolver.chain(rule, asset_id, labels))
    return {**as_json(rule), "holds": holds}


def _held(effective: Effective, chain: tuple[Override, ...]) -> dict[str, object]:
    return {
        "enabled": effective.enabled,
        "severity": effective.severity,
        "times": effective.times,
        "recovery_times": effective.recovery_times,
        "period_s": effective.period_s,
        "conditions": _texts(effective.conditions),
        "recovery": _texts(effective.recovery),
        "schedule": effective.schedule.name if effective.schedule else None,
        "channels": list(effective.channels),
        "flap_changes": effective.flap_changes,
        "flap_window_s": effective.flap_window_s,
        "said_by": {field: one.level.name.lower() for field, one in origins(chain).items()},
    }


def _texts(conditions: tuple[Condition, ...]) -> list[str]:
    return [str(condition) for condition in conditions]


def _number(text: str | None) -> int:
    return int(text) if text and text.isdecimal() and len(text) < 19 else 0
