"""The REST API of freezes and maintenance windows; the rules are those of the pages."""

from __future__ import annotations

from typing import Any

import django_filters
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import TenantViewSet, own_customer
from accounts.windows import from_json
from changes.models import ChangeWindow, ChangeWindowQuerySet
from changes.permissions import may_keep_windows
from changes.services import freezing
from incidents.api import PersonSerializer, Said


class ChangeWindowSerializer(serializers.ModelSerializer[ChangeWindow]):
    created_by = PersonSerializer(read_only=True)
    windows = serializers.ListField(child=serializers.DictField(), read_only=True)

    class Meta:
        model = ChangeWindow
        fields: tuple[str, ...] = (
            "id", "customer", "kind", "name", "windows", "holidays", "timezone", "over_at", "created_by", "created_at",
            "ended_at",
        )  # fmt: skip
        read_only_fields = fields


class NewChangeWindowSerializer(Said):
    customer = serializers.IntegerField(allow_null=True, help_text="null: of all customers, which a manager makes.")
    kind = serializers.ChoiceField(choices=ChangeWindow.Kind.choices)
    name = serializers.CharField(max_length=120)
    windows = serializers.ListField(
        child=serializers.DictField(),
        required=False,
        default=list,
        max_length=freezing.MOST,
        help_text='{"from", "to"} with ISO moments, or {"days": [5, 6], "from": "22:00", "to": "06:00"} every week.',
    )
    holidays = serializers.BooleanField(default=False, help_text="On the public holidays of the customer's calendar.")
    timezone = serializers.CharField(max_length=40, default="Asia/Shanghai")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        try:
            return {**attrs, "windows": from_json(attrs["windows"], attrs["timezone"])}
        except (KeyError, ValueError, TypeError, OSError) as problem:
            raise serializers.ValidationError({"windows": [str(problem)]}) from problem


class ChangeWindowFilter(django_filters.FilterSet):
    customer = django_filters.NumberFilter(field_name="customer_id")
    kind = django_filters.MultipleChoiceFilter(choices=ChangeWindow.Kind.choices)
    standing = django_filters.BooleanFilter(method="by_time")

    def by_time(self, rows: ChangeWindowQuerySet, _name: str, wanted: bool) -> QuerySet[ChangeWindow]:
        standing = rows.standing(timezone.now())
        return standing if wanted else rows.exclude(pk__in=standing.values("pk"))


class ChangeWindowViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[ChangeWindow]):
    """Freezes and maintenance windows, of one customer and of all."""

    model = ChangeWindow
    serializer_class = ChangeWindowSerializer
    filterset_class = ChangeWindowFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[ChangeWindow]:
        rows: QuerySet[ChangeWindow] = ChangeWindow.objects.select_related("customer", "created_by")
        return rows

    @extend_schema(request=NewChangeWindowSerializer, responses={201: ChangeWindowSerializer})
    def create(self, request: Request) -> Response:
        """Say when nothing is changed, or when one may work; what is planned is looked at again."""
        if not self.person.is_provider:
            raise PermissionDenied
        given = self.said(NewChangeWindowSerializer)
        asked = given.pop("customer")
        customer = None if asked is None else own_customer(self.person, asked)
        if not may_keep_windows(self.person, asked):
            raise PermissionDenied
        return self.shown(freezing.create(customer=customer, **given, **self.who()), status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=ChangeWindowSerializer)
    @action(detail=True, methods=["post"])
    def end(self, request: Request, **_kwargs: object) -> Response:
        """It holds no more."""
        return self.shown(freezing.end(window=self.get_object(), **self.who()))
