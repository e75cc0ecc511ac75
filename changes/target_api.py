"""The REST API of catalogue requests: one operation asked for, and the times that the catalogue promises."""

from __future__ import annotations

from typing import Any

import django_filters
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status, views
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import TenantViewSet, own_customer
from accounts.models import User
from accounts.permissions import can_write
from assets.models import Asset
from changes.catalogue import operations
from changes.models import RequestTarget
from changes.operation_forms import check
from changes.services import targets
from incidents.api import Said
from incidents.models import Incident


class RequestTargetSerializer(serializers.ModelSerializer[RequestTarget]):
    response_due_at = serializers.DateTimeField(read_only=True)
    answered_at = serializers.DateTimeField(source="incident.acknowledged_at", read_only=True, allow_null=True)
    done_at = serializers.DateTimeField(source="incident.resolved_at", read_only=True, allow_null=True)

    class Meta:
        model = RequestTarget
        fields: tuple[str, ...] = (
            "id", "customer", "incident", "operation", "response_minutes", "completion_hours", "started_at",
            "response_due_at", "answered_at", "due_at", "done_at", "missed_at",
        )  # fmt: skip
        read_only_fields = fields


class RequestTargetFilter(django_filters.FilterSet):
    customer = django_filters.NumberFilter(field_name="customer_id")
    incident = django_filters.NumberFilter(field_name="incident_id")
    operation = django_filters.CharFilter(field_name="operation")
    missed = django_filters.BooleanFilter(method="by_missed")

    def by_missed(self, rows: QuerySet[RequestTarget], _name: str, value: bool) -> QuerySet[RequestTarget]:
        return rows.exclude(missed_at=None) if value else rows.filter(missed_at=None)


class RequestTargetViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[RequestTarget]):
    """Requests out of the catalogue with the time that was promised for them."""

    model = RequestTarget
    serializer_class = RequestTargetSerializer
    filterset_class = RequestTargetFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[RequestTarget]:
        rows: QuerySet[RequestTarget] = RequestTarget.objects.for_lists()
        return rows


class AskSerializer(Said):
    customer = serializers.IntegerField(required=False, help_text="Needed by the provider's people only.")
    title = serializers.CharField(max_length=200)
    description = serializers.CharField(max_length=20_000, required=False, default="", allow_blank=True)
    details = serializers.DictField(child=serializers.JSONField(), required=False, default=dict)
    wished_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    assets = serializers.ListField(child=serializers.IntegerField(), required=False, default=list, max_length=100)


class CatalogueRequestView(views.APIView):
    """Ask for one operation of the catalogue; its form is checked as on the page."""

    @extend_schema(request=AskSerializer, responses={201: RequestTargetSerializer})
    def post(self, request: Request, code: str) -> Response:
        person = request.user
        if not isinstance(person, User) or not can_write(person):
            raise PermissionDenied
        operation = operations().get(code)
        if operation is None:
            raise Http404
        given = AskSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        said: dict[str, Any] = dict(given.validated_data)
        customer = own_customer(person, said.pop("customer", None))
        form = check(operation, said.pop("details"))
        if not form.is_valid():
            wrong = {name: [str(one) for one in errors] for name, errors in form.errors.items()}
            raise serializers.ValidationError({"details": wrong})
        wanted = set(said.pop("assets"))
        assets = list(Asset.objects.active().filter(customer=customer, pk__in=wanted))
        if len(assets) != len(wanted) or any(not operation.about(asset.kind) for asset in assets):
            raise serializers.ValidationError({"assets": [_("Not every asset is one that this operation is about.")]})
        if operation.kinds and not assets:
            raise serializers.ValidationError({"assets": [_("Please choose what it is done to.")]})
        incident = targets.ask(
            customer=customer, operation=operation, fields=form.values(), assets=assets, actor=person,
            now=timezone.now(), source=Incident.Source.API, **said,
        )  # fmt: skip
        target = RequestTarget.objects.for_lists().get(incident=incident)
        return Response(RequestTargetSerializer(target).data, status=status.HTTP_201_CREATED)
