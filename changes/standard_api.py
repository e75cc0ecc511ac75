"""The REST API of standard changes: described once, signed, approved, used; the rules are those of the pages."""

from __future__ import annotations

from typing import Any

import django_filters
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import TenantViewSet, own_customer
from accounts.models import Customer
from assets.models import Asset
from changes.api import ChangeSerializer
from changes.catalogue import operations
from changes.models import Change, ChangeTemplate
from changes.operation_forms import check
from changes.services import drafting, templates
from changes.services.templates import Described
from incidents.api import PersonSerializer, Said
from incidents.models import Incident


class StandardChangeSerializer(serializers.ModelSerializer[ChangeTemplate]):
    details = serializers.DictField(source="fields", read_only=True, help_text="What the operation asks for.")
    assets: Any = serializers.PrimaryKeyRelatedField(many=True, read_only=True)
    created_by = PersonSerializer(read_only=True)
    approved_by = PersonSerializer(read_only=True, allow_null=True)
    is_signed = serializers.BooleanField(read_only=True)
    is_in_force = serializers.SerializerMethodField(help_text="Signed, approved, not retired and not over.")

    class Meta:
        model = ChangeTemplate
        fields: tuple[str, ...] = (
            "id", "customer", "name", "operation", "details", "plan", "rollback", "risk_text", "assets", "valid_until",
            "attestation", "is_signed", "is_in_force", "created_by", "created_at", "approved_by", "approved_at",
            "retired_at",
        )  # fmt: skip
        read_only_fields = fields

    def get_is_in_force(self, template: ChangeTemplate) -> bool:
        return template.is_in_force(timezone.now())


class NewStandardChangeSerializer(Said):
    customer = serializers.IntegerField()
    name = serializers.CharField(max_length=200)
    operation = serializers.CharField(max_length=80)
    details = serializers.DictField(child=serializers.JSONField(), required=False, default=dict)
    assets = serializers.ListField(child=serializers.IntegerField(), min_length=1, max_length=200)
    plan = serializers.CharField(max_length=20_000)
    rollback = serializers.CharField(max_length=20_000)
    risk_text = serializers.CharField(max_length=8000)
    valid_until = serializers.DateField()


class UseStandardChangeSerializer(Said):
    assets = serializers.ListField(child=serializers.IntegerField(), min_length=1, max_length=200)
    incident = serializers.IntegerField(help_text="The incident or request by which somebody wants it now.")


class StandardChangeFilter(django_filters.FilterSet):
    customer = django_filters.NumberFilter(field_name="customer_id")
    operation = django_filters.CharFilter(field_name="operation")
    asset = django_filters.NumberFilter(field_name="assets")


class StandardChangeViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[ChangeTemplate]):
    """Standard changes: signed by the customer and approved by us once, then used as often as needed."""

    model = ChangeTemplate
    serializer_class = StandardChangeSerializer
    filterset_class = StandardChangeFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[ChangeTemplate]:
        rows = ChangeTemplate.objects.select_related("customer", "created_by", "approved_by", "attestation__answer")
        return rows.prefetch_related("assets").distinct()

    @extend_schema(request=NewStandardChangeSerializer, responses={201: StandardChangeSerializer})
    def create(self, request: Request) -> Response:
        """Describe one; the customer's contacts are asked to sign it."""
        if not self.person.is_provider:
            raise PermissionDenied
        given = self.said(NewStandardChangeSerializer)
        customer = own_customer(self.person, given.pop("customer"))
        operation = operations().get(given["operation"])
        if operation is None:
            raise serializers.ValidationError({"operation": [_("There is no such operation in the catalogue.")]})
        form = check(operation, given.pop("details"))
        if not form.is_valid():
            wrong = {name: [str(one) for one in said] for name, said in form.errors.items()}
            raise serializers.ValidationError({"details": wrong})
        assets = self._assets(customer, given.pop("assets"))
        described = Described(fields=form.values(), assets=assets, **given)
        return self.shown(templates.create(customer=customer, said=described, **self.who()), status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=StandardChangeSerializer)
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, **_kwargs: object) -> Response:
        """A manager who did not describe it lets it be used."""
        return self.shown(templates.approve(template=self.get_object(), **self.who()))

    @extend_schema(request=None, responses=StandardChangeSerializer)
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, **_kwargs: object) -> Response:
        """It is used no more."""
        return self.shown(templates.retire(template=self.get_object(), **self.who()))

    @extend_schema(request=UseStandardChangeSerializer, responses={201: ChangeSerializer})
    @action(detail=True, methods=["post"])
    def use(self, request: Request, **_kwargs: object) -> Response:
        """Draft a change of it on some of its assets."""
        template = self.get_object()
        if not self.person.is_provider:
            raise PermissionDenied
        given = self.said(UseStandardChangeSerializer)
        assets = self._assets(template.customer, given["assets"])
        known = Incident.objects.for_both_sides().filter(customer=template.customer_id)
        incident = known.filter(pk=given["incident"]).first()
        if incident is None:
            raise serializers.ValidationError({"incident": [_("There is no such incident.")]})
        made = drafting.draft_standard(template=template, assets=assets, incident=incident, **self.who())
        shown = Change.objects.for_lists().get(pk=made.pk)
        return Response(ChangeSerializer(shown).data, status=status.HTTP_201_CREATED)

    def _assets(self, customer: Customer, asked: list[int]) -> tuple[Asset, ...]:
        found = tuple(Asset.objects.active().filter(customer=customer, pk__in=asked))
        if len(found) != len(set(asked)):
            raise serializers.ValidationError({"assets": [_("Not every asset is one of this customer.")]})
        return found
