"""The REST API of temporary instances: written down, kept for longer, released under a change."""

import django_filters
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import TenantViewSet
from changes.models import TemporaryExtension, TemporaryInstance
from changes.run_api import found_change
from changes.services import restores
from incidents.api import PersonSerializer, Said


class TemporaryExtensionSerializer(serializers.ModelSerializer[TemporaryExtension]):
    by = PersonSerializer(read_only=True)

    class Meta:
        model = TemporaryExtension
        fields = ("at", "by", "before", "until", "reason")
        read_only_fields = fields


class TemporaryInstanceSerializer(serializers.ModelSerializer[TemporaryInstance]):
    recorded_by = PersonSerializer(read_only=True)
    released_by = PersonSerializer(read_only=True, allow_null=True)
    extensions = TemporaryExtensionSerializer(many=True, read_only=True)

    class Meta:
        model = TemporaryInstance
        fields: tuple[str, ...] = (
            "id", "customer", "change", "source", "name", "address", "restore_minutes", "ready_at", "expires_at",
            "state", "recorded_by", "extensions", "release", "released_at", "released_by", "released_words",
        )  # fmt: skip
        read_only_fields = fields


class TemporaryInstanceFilter(django_filters.FilterSet):
    state = django_filters.MultipleChoiceFilter(choices=TemporaryInstance.State.choices)
    customer = django_filters.NumberFilter(field_name="customer_id")
    change = django_filters.NumberFilter(field_name="change_id")
    source = django_filters.NumberFilter(field_name="source_id")
    expires_before = django_filters.IsoDateTimeFilter(field_name="expires_at", lookup_expr="lt")


class NewTemporaryInstanceSerializer(Said):
    change = serializers.IntegerField(help_text="A restore to a temporary instance that is being carried out.")
    asset = serializers.IntegerField(help_text="The asset that was restored.")
    name = serializers.CharField(max_length=120)
    address = serializers.CharField(max_length=253, required=False, default="", allow_blank=True)
    restore_minutes = serializers.IntegerField(
        min_value=1, max_value=100_000, required=False, allow_null=True, default=None
    )


class TemporaryExtensionSaidSerializer(Said):
    days = serializers.IntegerField(min_value=1, max_value=restores.MOST_EXTENSION_DAYS)
    reason = serializers.CharField(max_length=300)


class TemporaryInstanceGoneSerializer(Said):
    words = serializers.CharField(max_length=300, help_text="How one saw that it is gone.")


class TemporaryInstanceViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[TemporaryInstance]):
    """What restores from a backup set or a point in time brought up, until it is released."""

    model = TemporaryInstance
    serializer_class = TemporaryInstanceSerializer
    filterset_class = TemporaryInstanceFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[TemporaryInstance]:
        rows: QuerySet[TemporaryInstance] = TemporaryInstance.objects.for_lists()
        return rows.prefetch_related("extensions__by")

    @extend_schema(request=NewTemporaryInstanceSerializer, responses={201: TemporaryInstanceSerializer})
    def create(self, request: Request) -> Response:
        """Write down what a restore brought up; its days are counted from now."""
        if not self.person.is_provider:
            raise PermissionDenied
        given = self.said(NewTemporaryInstanceSerializer)
        change = found_change(given.pop("change"))
        source = change.assets.filter(pk=given.pop("asset")).first()
        if source is None:
            raise serializers.ValidationError({"asset": [_("This is none of the change's assets.")]})
        made = restores.record(change=change, source=source, **given, **self.who())
        return self.shown(made, status.HTTP_201_CREATED)

    @extend_schema(request=TemporaryExtensionSaidSerializer, responses=TemporaryInstanceSerializer)
    @action(detail=True, methods=["post"])
    def extend(self, request: Request, **_kwargs: object) -> Response:
        """It is needed for longer."""
        given = self.said(TemporaryExtensionSaidSerializer)
        return self.shown(restores.extend(instance=self.get_object(), **given, **self.who()))

    @extend_schema(request=None, responses=TemporaryInstanceSerializer)
    @action(detail=True, methods=["post"], url_path="draft-release")
    def draft_release(self, request: Request, **_kwargs: object) -> Response:
        """Draft the change that releases it; `release` names it."""
        instance = self.get_object()
        restores.draft_release(instance=instance, **self.who())
        return self.shown(instance)

    @extend_schema(request=TemporaryInstanceGoneSerializer, responses=TemporaryInstanceSerializer)
    @action(detail=True, methods=["post"])
    def gone(self, request: Request, **_kwargs: object) -> Response:
        """It is gone, under its change."""
        given = self.said(TemporaryInstanceGoneSerializer)
        return self.shown(restores.note_release(instance=self.get_object(), **given, **self.who()))
