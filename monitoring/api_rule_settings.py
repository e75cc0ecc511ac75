"""The REST API of what rules speak of: macros, schedules, expected processes. The rules are those of the pages."""

from __future__ import annotations

from typing import Any, Final

import django_filters
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import M, TenantViewSet
from accounts.models import Customer
from accounts.permissions import is_provider
from assets.models import Asset
from monitoring.models import AssetGroup, ExpectedProcess, RuleMacro, RuleSchedule
from monitoring.rules_api import MOST_ID, found
from monitoring.services import levels, macros, processes, rule_schedules
from monitoring.services.silences import ZONE
from monitoring.silence_forms import ZONES

MOST_PROCESSES: Final = 100_000


class RuleSettingViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[M]):
    """Read by everybody of a customer, written by the provider."""

    lookup_value_converter = "int"

    def written(self, form: type[serializers.Serializer[Any]]) -> dict[str, Any]:
        """What the body says, of somebody who may say it."""
        if not is_provider(self.person):
            raise PermissionDenied
        return self.said(form)

    def removable(self) -> M:
        row = self.get_object()
        if not is_provider(self.person):
            raise PermissionDenied
        return row


class PlaceFilter(django_filters.FilterSet):
    customer = django_filters.NumberFilter(field_name="customer_id")
    asset = django_filters.NumberFilter(field_name="asset_id")


# --- macros ----------------------------------------------------------------------------------------------------------


class MacroSerializer(serializers.ModelSerializer[RuleMacro]):
    """A named value: of the customer, or, narrower, of a group or an asset."""

    class Meta:
        model = RuleMacro
        fields = ("id", "customer", "name", "value", "unit", "group", "asset", "reason", "changed_by", "changed_at")
        read_only_fields = fields


class NewMacroSerializer(serializers.Serializer[Any]):
    """`value` is a number with a unit if need be: "5 GiB", "3 s", "90"."""

    customer = serializers.IntegerField(min_value=1, max_value=MOST_ID)
    name = serializers.CharField(max_length=60)
    value = serializers.CharField(max_length=40)
    group = serializers.IntegerField(min_value=1, max_value=MOST_ID, required=False, allow_null=True, default=None)
    asset = serializers.IntegerField(min_value=1, max_value=MOST_ID, required=False, allow_null=True, default=None)
    reason = serializers.CharField(max_length=300)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        attrs["customer"] = customer = found(Customer.objects.filter(pk=attrs["customer"]), "customer")
        if attrs["group"] is not None and attrs["asset"] is not None:
            raise serializers.ValidationError({"group": _("Either a group or an asset.")})
        if attrs["group"] is not None:
            attrs["group"] = found(AssetGroup.objects.filter(pk=attrs["group"], customer=customer), "group")
        if attrs["asset"] is not None:
            attrs["asset"] = found(Asset.objects.filter(pk=attrs["asset"], customer=customer), "asset")
        return attrs


class MacroFilter(PlaceFilter):
    group = django_filters.NumberFilter(field_name="group_id")
    name = django_filters.CharFilter()


@extend_schema(tags=["rules"])
class MacroViewSet(RuleSettingViewSet[RuleMacro]):
    """Named values that thresholds speak of."""

    model = RuleMacro
    serializer_class = MacroSerializer
    filterset_class = MacroFilter

    @extend_schema(request=NewMacroSerializer, responses={201: MacroSerializer})
    def create(self, _request: Request) -> Response:
        """Give a macro a value at a place; one that it has there already is replaced."""
        row = macros.save(**self.written(NewMacroSerializer), **self.who())
        return self.shown(row, status.HTTP_201_CREATED)

    @extend_schema(responses={204: None})
    def destroy(self, _request: Request, **_kwargs: object) -> Response:
        """Refused while a threshold would lose its value by it."""
        macros.remove(macro=self.removable(), **self.who())
        return Response(status=status.HTTP_204_NO_CONTENT)


# --- schedules -------------------------------------------------------------------------------------------------------


class ScheduleSerializer(serializers.ModelSerializer[RuleSchedule]):
    """When rules hold. `week` has the hours of each day from Monday on and counts with the basis "week" alone."""

    is_active = serializers.SerializerMethodField(help_text="Whether rules that keep to it hold now.")

    class Meta:
        model = RuleSchedule
        fields = ("id", "customer", "name", "basis", "week", "timezone", "is_active", "changed_by", "changed_at")
        read_only_fields = fields

    def get_is_active(self, row: RuleSchedule) -> bool:
        return levels.schedule_of(row).active_at(timezone.now())


class NewScheduleSerializer(serializers.Serializer[Any]):
    """`week`: seven lists of hours such as "09:00-12:00", Monday first; a day off is an empty list."""

    customer = serializers.IntegerField(min_value=1, max_value=MOST_ID)
    name = serializers.CharField(max_length=80)
    basis = serializers.ChoiceField(choices=RuleSchedule.Basis.choices, required=False, default=RuleSchedule.Basis.WEEK)
    week = serializers.ListField(
        child=serializers.ListField(child=serializers.CharField(max_length=11), max_length=12),
        min_length=7,
        max_length=7,
    )
    timezone = serializers.ChoiceField(choices=[name for name, _label in ZONES], required=False, default=ZONE)

    def validate_customer(self, value: int) -> Customer:
        customer: Customer = found(Customer.objects.filter(pk=value), "customer")
        return customer


@extend_schema(tags=["rules"])
class ScheduleViewSet(RuleSettingViewSet[RuleSchedule]):
    """When rules may open an alert."""

    model = RuleSchedule
    serializer_class = ScheduleSerializer
    filterset_fields = ("customer",)

    def rows(self) -> QuerySet[RuleSchedule]:
        return RuleSchedule.objects.select_related("customer")

    @extend_schema(request=NewScheduleSerializer, responses={201: ScheduleSerializer})
    def create(self, _request: Request) -> Response:
        """Make a schedule."""
        row = rule_schedules.save(schedule=None, **self.written(NewScheduleSerializer), **self.who())
        return self.shown(row, status.HTTP_201_CREATED)

    @extend_schema(request=NewScheduleSerializer, responses=ScheduleSerializer)
    def update(self, _request: Request, **_kwargs: object) -> Response:
        """Change it; the rules that keep to it follow with the next data."""
        row = self.get_object()
        said = self.written(NewScheduleSerializer)
        if said["customer"].pk != row.customer_id:
            raise serializers.ValidationError({"customer": _("A schedule stays with its customer.")})
        return self.shown(rule_schedules.save(schedule=row, **said, **self.who()))

    @extend_schema(responses={204: None})
    def destroy(self, _request: Request, **_kwargs: object) -> Response:
        """Refused while rules keep to it."""
        rule_schedules.remove(schedule=self.removable(), **self.who())
        return Response(status=status.HTTP_204_NO_CONTENT)


# --- expected processes ----------------------------------------------------------------------------------------------


class ProcessSerializer(serializers.ModelSerializer[ExpectedProcess]):
    """How many processes of a name should run on an asset; no maximum: as many as may be."""

    class Meta:
        model = ExpectedProcess
        fields = (
            "id", "customer", "asset", "name", "pattern", "minimum", "maximum", "reason", "changed_by", "changed_at",
        )  # fmt: skip
        read_only_fields = fields


class NewProcessSerializer(serializers.Serializer[Any]):
    """`pattern` is a regular expression over the whole command line; empty: the process of exactly this name."""

    asset = serializers.IntegerField(min_value=1, max_value=MOST_ID)
    name = serializers.CharField(max_length=80)
    pattern = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")
    minimum = serializers.IntegerField(min_value=0, max_value=MOST_PROCESSES, required=False, default=1)
    maximum = serializers.IntegerField(
        min_value=0, max_value=MOST_PROCESSES, required=False, allow_null=True, default=None
    )
    reason = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")

    def validate_asset(self, value: int) -> Asset:
        asset: Asset = found(Asset.objects.select_related("customer").filter(pk=value), "asset")
        return asset


@extend_schema(tags=["rules"])
class ProcessViewSet(RuleSettingViewSet[ExpectedProcess]):
    """The processes that should run on assets."""

    model = ExpectedProcess
    serializer_class = ProcessSerializer
    filterset_class = PlaceFilter

    @extend_schema(request=NewProcessSerializer, responses={201: ProcessSerializer})
    def create(self, _request: Request) -> Response:
        """Say how many should run; what was said of this name on this asset is replaced."""
        row = processes.expect(**self.written(NewProcessSerializer), **self.who())
        return self.shown(row, status.HTTP_201_CREATED)

    @extend_schema(responses={204: None})
    def destroy(self, _request: Request, **_kwargs: object) -> Response:
        """Back to the rule as it holds: at least one."""
        processes.forget(process=self.removable(), **self.who())
        return Response(status=status.HTTP_204_NO_CONTENT)
