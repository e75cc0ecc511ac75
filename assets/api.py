"""The REST API of assets: reading for everybody in scope, writing down and owners for those who may."""

from typing import Any

import django_filters
from django.core.exceptions import PermissionDenied
from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import TenantViewSet
from accounts.models import Customer
from assets.facts import Facts
from assets.models import MANUAL_KINDS, Asset, Environment, Kind
from assets.permissions import can_edit_assets, can_edit_owner
from assets.services import inventory
from assets.services.inventory import Ownership


class AssetFilter(django_filters.FilterSet):
    kind = django_filters.MultipleChoiceFilter(choices=Kind.choices)
    status = django_filters.MultipleChoiceFilter(choices=Asset.Status.choices)
    environment = django_filters.MultipleChoiceFilter(choices=Environment.choices)
    region = django_filters.CharFilter()
    customer = django_filters.NumberFilter(field_name="customer_id")
    cloud_account = django_filters.NumberFilter(field_name="cloud_account_id")
    provider_id = django_filters.CharFilter()
    retired = django_filters.BooleanFilter(field_name="retired_at", lookup_expr="isnull", exclude=True)
    incomplete = django_filters.BooleanFilter(method="by_completeness")
    expires_before = django_filters.IsoDateTimeFilter(field_name="expires_at", lookup_expr="lte")
    q = django_filters.CharFilter(method="by_words")

    def by_completeness(self, rows: QuerySet[Asset], _name: str, value: bool) -> QuerySet[Asset]:
        missing = Asset.objects.incomplete()
        return rows.filter(pk__in=missing) if value else rows.exclude(pk__in=missing)

    def by_words(self, rows: QuerySet[Asset], _name: str, value: str) -> QuerySet[Asset]:
        for word in value.split()[:8]:
            rows = rows.filter(Q(name__icontains=word) | Q(provider_id__icontains=word) | Q(host__icontains=word))
        return rows


class AssetSerializer(serializers.ModelSerializer[Asset]):
    missing_facts = serializers.ListField(child=serializers.CharField(), read_only=True)

    class Meta:
        model = Asset
        fields = (
            "id", "customer", "cloud_account", "kind", "provider_id", "name", "region", "zone", "spec", "private_ip",
            "public_ip", "host", "port", "url", "os", "engine", "product", "status", "expires_at", "tags", "details",
            "environment", "owner_name", "owner_contact", "role_text", "notes", "hardware_by_customer", "hardened_at",
            "monitored_at", "managed_at", "simulated", "created_at", "changed_at", "seen_at", "retired_at",
            "missing_facts",
        )  # fmt: skip
        read_only_fields = fields


class NewAssetSerializer(serializers.Serializer[Any]):
    """What can be said of an asset that no cloud describes."""

    customer = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    kind = serializers.ChoiceField(choices=[(kind.value, kind.label) for kind in MANUAL_KINDS])
    name = serializers.CharField(max_length=200)
    host = serializers.CharField(max_length=253, required=False, allow_blank=True)
    port = serializers.IntegerField(min_value=1, max_value=65535, required=False, allow_null=True)
    url = serializers.CharField(max_length=500, required=False, allow_blank=True)
    private_ip = serializers.IPAddressField(required=False, allow_null=True)
    public_ip = serializers.IPAddressField(required=False, allow_null=True)
    os = serializers.ChoiceField(choices=Asset.Os.choices, required=False, allow_blank=True)
    engine = serializers.CharField(max_length=80, required=False, allow_blank=True)
    product = serializers.CharField(max_length=40, required=False, allow_blank=True)
    spec = serializers.CharField(max_length=120, required=False, allow_blank=True)
    region = serializers.CharField(max_length=40, required=False, allow_blank=True)
    expires_at = serializers.DateTimeField(required=False, allow_null=True)
    environment = serializers.ChoiceField(choices=Environment.choices, required=False)
    owner_name = serializers.CharField(max_length=80, required=False, allow_blank=True)
    owner_contact = serializers.CharField(max_length=120, required=False, allow_blank=True)
    role_text = serializers.CharField(max_length=200, required=False, allow_blank=True)
    notes = serializers.CharField(max_length=4000, required=False, allow_blank=True)
    hardware_by_customer = serializers.BooleanField(required=False)
    tags = serializers.DictField(child=serializers.CharField(max_length=200, allow_blank=True), required=False)

    def validate_customer(self, pk: int) -> Customer:
        customer = Customer.objects.filter(pk=pk).first()
        if customer is None:
            raise serializers.ValidationError(_("There is no such customer."))
        return customer


class OwnershipSerializer(serializers.Serializer[Any]):
    owner_name = serializers.CharField(max_length=80, required=False, allow_blank=True)
    owner_contact = serializers.CharField(max_length=120, required=False, allow_blank=True)
    role_text = serializers.CharField(max_length=200, required=False, allow_blank=True)
    environment = serializers.ChoiceField(choices=Environment.choices, required=False)
    notes = serializers.CharField(max_length=4000, required=False, allow_blank=True)


class AssetViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[Asset]):
    """Assets of the customers in reach."""

    model = Asset
    serializer_class = AssetSerializer
    filterset_class = AssetFilter
    lookup_value_converter = "int"

    @extend_schema(request=NewAssetSerializer, responses={201: AssetSerializer})
    def create(self, request: Request) -> Response:
        """Write down an asset: a server, database, middleware, URL, port or load balancer."""
        if not can_edit_assets(self.person):
            raise PermissionDenied
        given = NewAssetSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        values = dict(given.validated_data)
        customer = values.pop("customer")
        try:
            asset = inventory.create_manual(
                customer=customer, facts=Facts(**values), actor=self.person, now=timezone.now()
            )
        except DjangoValidationError as problem:
            raise serializers.ValidationError(problem.message_dict) from None
        return Response(AssetSerializer(asset).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=OwnershipSerializer, responses=AssetSerializer)
    def partial_update(self, request: Request, **_kwargs: object) -> Response:
        """Say who owns an asset and what it is for; fields left out stay as they are."""
        asset = self.get_object()
        if not can_edit_owner(self.person):
            raise PermissionDenied
        given = OwnershipSerializer(data=request.data)
        given.is_valid(raise_exception=True)
        ownership = Ownership(**given.validated_data)
        inventory.set_owner(assets=[asset], ownership=ownership, actor=self.person, now=timezone.now())
        asset.refresh_from_db()
        return Response(AssetSerializer(asset).data)
