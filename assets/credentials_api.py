"""The REST API of credentials: that they exist, how old they are and whether they work. Secrets go in and never out."""

from typing import Any

import django_filters
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import TenantViewSet
from assets.credential_forms import PURPOSES, kinds_of
from assets.models import AccountPurpose, Asset, Check, Credential, CredentialKind
from assets.permissions import can_manage_credentials
from assets.services import credentials


class CredentialFilter(django_filters.FilterSet):
    kind = django_filters.MultipleChoiceFilter(choices=CredentialKind.choices)
    purpose = django_filters.MultipleChoiceFilter(choices=AccountPurpose.choices)
    check_state = django_filters.MultipleChoiceFilter(choices=Check.choices)
    customer = django_filters.NumberFilter(field_name="customer_id")
    asset = django_filters.NumberFilter(field_name="asset_id")
    cloud_account = django_filters.NumberFilter(field_name="cloud_account_id")
    retired = django_filters.BooleanFilter(field_name="retired_at", lookup_expr="isnull", exclude=True)
    due = django_filters.BooleanFilter(method="by_due")

    def by_due(self, rows: QuerySet[Credential], _name: str, value: bool) -> QuerySet[Credential]:
        is_due = Q(retired_at=None, rotation_due_at__lte=timezone.now())
        return rows.filter(is_due) if value else rows.exclude(is_due)


class CredentialSerializer(serializers.ModelSerializer[Credential]):
    access_key_id = serializers.CharField(source="masked_key_id", read_only=True, help_text="Shortened.")

    class Meta:
        model = Credential
        fields = (
            "id", "customer", "kind", "purpose", "asset", "cloud_account", "username", "access_key_id", "public_key",
            "fingerprint", "has_sudo", "is_privileged", "secret_set_at", "last_used_at", "check_state", "checked_at",
            "rotation_due_at", "created_at", "retired_at",
        )  # fmt: skip
        read_only_fields = fields


class NewCredentialSerializer(serializers.Serializer[Any]):
    asset = serializers.IntegerField(min_value=1, max_value=2**63 - 1)
    kind = serializers.ChoiceField(choices=[(kind.value, kind.label) for kind in credentials.OF_ASSETS])
    username = serializers.CharField(max_length=128)
    purpose = serializers.ChoiceField(choices=PURPOSES, default=AccountPurpose.OTHER)
    secret = serializers.CharField(
        max_length=10_000, write_only=True, required=False, default="", allow_blank=True, trim_whitespace=False
    )
    has_sudo = serializers.BooleanField(required=False, allow_null=True, default=None)
    is_privileged = serializers.BooleanField(required=False, default=False)
    note = serializers.CharField(max_length=300, required=False, default="", allow_blank=True)


class NewSecretSerializer(serializers.Serializer[Any]):
    secret = serializers.CharField(max_length=10_000, write_only=True, trim_whitespace=False)


class CredentialViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[Credential]):
    """Credentials of the customers in reach, without their secrets."""

    model = Credential
    serializer_class = CredentialSerializer
    filterset_class = CredentialFilter
    lookup_value_converter = "int"

    @extend_schema(request=NewCredentialSerializer, responses={201: CredentialSerializer})
    def create(self, request: Request) -> Response:
        """Write down an account of a host or database, or a key pair; the secret goes into the vault."""
        self._must_manage()
        said = self.said(NewCredentialSerializer)
        asset = Asset.objects.filter(pk=said.pop("asset")).first()
        if asset is None:
            raise serializers.ValidationError({"asset": [_("There is no such asset.")]})
        if said["kind"] not in kinds_of(asset):
            raise serializers.ValidationError({"kind": [_("This kind of credential does not belong there.")]})
        made = credentials.add(where=asset, entry=credentials.Entry(**said), **self.who())
        return self.shown(made, status.HTTP_201_CREATED)

    @extend_schema(request=NewSecretSerializer, responses=CredentialSerializer)
    @action(detail=True, methods=["post"])
    def secret(self, request: Request, **_kwargs: object) -> Response:
        """Put in a secret that was changed elsewhere."""
        credential = self.get_object()
        self._must_manage()
        value = self.said(NewSecretSerializer)["secret"]
        return self.shown(credentials.set_secret(credential=credential, value=value, **self.who()))

    def _must_manage(self) -> None:
        if not can_manage_credentials(self.person):
            raise PermissionDenied
