"""The REST API of the contract's monitoring template (R34): filled in, previewed, set up, its tasks settled."""

from __future__ import annotations

from typing import Any

import django_filters
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import TenantViewSet, own_customer
from accounts.permissions import is_provider
from monitoring.models import MonitoringTemplate, TemplateTask
from monitoring.rules_api import MOST_ID
from monitoring.services import watch_forms
from monitoring.watch_plan import BASICS, DATABASES, PORTS, URL_KINDS, WEB, Form


class TemplateSerializer(serializers.ModelSerializer[MonitoringTemplate]):
    """One version of the form. It is never changed: filling it in again makes the next version."""

    class Meta:
        model = MonitoringTemplate
        fields = (
            "id", "customer", "version", "state", "wanted", "basics", "other_basics", "web", "databases",
            "other_products", "ports", "other_ports", "url_kinds", "urls", "notes", "submitted_by", "submitted_at",
            "confirmed_by", "confirmed_at",
        )  # fmt: skip
        read_only_fields = fields


class FilledSerializer(serializers.Serializer[Any]):
    """The form as the contract prints it. Free texts: several things are separated by commas, addresses by lines."""

    customer = serializers.IntegerField(
        min_value=1, max_value=MOST_ID, required=False, default=None, help_text="Of the provider's people alone."
    )
    wanted = serializers.BooleanField(required=False, default=True)
    basics = serializers.MultipleChoiceField(choices=BASICS, required=False, default=set)
    other_basics = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")
    web = serializers.MultipleChoiceField(choices=WEB, required=False, default=set)
    databases = serializers.MultipleChoiceField(choices=DATABASES, required=False, default=set)
    other_products = serializers.CharField(max_length=500, required=False, allow_blank=True, default="")
    ports = serializers.MultipleChoiceField(choices=PORTS, required=False, default=set)
    other_ports = serializers.CharField(max_length=300, required=False, allow_blank=True, default="")
    url_kinds = serializers.MultipleChoiceField(choices=URL_KINDS, required=False, default=set)
    urls = serializers.CharField(max_length=4000, required=False, allow_blank=True, default="")
    notes = serializers.CharField(max_length=4000, required=False, allow_blank=True, default="")


class TemplateStepSerializer(serializers.Serializer[Any]):
    """What comes of a box: set up by the platform, there already, or for a person (`is_task`)."""

    key = serializers.CharField()
    code = serializers.CharField()
    subject = serializers.CharField()
    asset = serializers.IntegerField(source="asset_id", allow_null=True)
    port = serializers.IntegerField(allow_null=True)
    is_there = serializers.BooleanField()
    is_task = serializers.BooleanField()


class TemplateQuotaSerializer(serializers.Serializer[Any]):
    """How it stands to the contract: used, what this adds, and the limit (null: none)."""

    code = serializers.CharField()
    used = serializers.IntegerField()
    adding = serializers.IntegerField()
    limit = serializers.IntegerField(allow_null=True)


class PreviewSerializer(serializers.Serializer[Any]):
    steps = TemplateStepSerializer(many=True)
    quotas = TemplateQuotaSerializer(many=True)


class ConfirmSerializer(serializers.Serializer[Any]):
    """`steps`: the keys of the preview that are set up; left out: all. The others become tasks."""

    steps = serializers.ListField(
        child=serializers.CharField(max_length=300), required=False, allow_null=True, default=None, max_length=5000
    )


class TemplateTaskSerializer(serializers.ModelSerializer[TemplateTask]):
    """What somebody must see to before it can be watched."""

    class Meta:
        model = TemplateTask
        fields = ("id", "customer", "template", "asset", "code", "subject", "done_at", "done_by")
        read_only_fields = fields


class SettleSerializer(serializers.Serializer[Any]):
    done = serializers.BooleanField(required=False, default=True)


@extend_schema(tags=["monitoring templates"])
class TemplateViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[MonitoringTemplate]):
    """The monitoring templates of the customers in reach, all their versions."""

    model = MonitoringTemplate
    serializer_class = TemplateSerializer
    filterset_fields = ("customer", "state")
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[MonitoringTemplate]:
        return MonitoringTemplate.objects.select_related("customer").order_by("customer", "-version")

    @extend_schema(request=FilledSerializer, responses={201: TemplateSerializer})
    def create(self, _request: Request) -> Response:
        """Fill it in: the next version, which an engineer sets up. Of the customer's project managers and the
        provider."""
        if not watch_forms.may_fill(self.person):
            raise PermissionDenied
        said = self.said(FilledSerializer)
        customer = own_customer(self.person, said.pop("customer"))
        ticked = {name: [one for one in order if one in said[name]] for name, order in BOXES.items()}
        row = watch_forms.submit(customer=customer, form=Form(**{**said, **ticked}), **self.who())
        return self.shown(row, status.HTTP_201_CREATED)

    @extend_schema(responses=PreviewSerializer)
    @action(detail=True, methods=["get"])
    def preview(self, _request: Request, **_kwargs: object) -> Response:
        """What it would set up, and what exceeds the contract. Of the provider only."""
        row = self.get_object()
        if not is_provider(self.person):
            raise PermissionDenied
        return Response(PreviewSerializer(watch_forms.preview(row)).data)

    @extend_schema(request=ConfirmSerializer, responses=TemplateSerializer)
    @action(detail=True, methods=["post"])
    def confirm(self, _request: Request, **_kwargs: object) -> Response:
        """Set it up. What cannot be, and what was not chosen, becomes a task. Of the provider only."""
        row = self.get_object()
        if not is_provider(self.person):
            raise PermissionDenied
        chosen = self.said(ConfirmSerializer)["steps"]
        if chosen is None:
            chosen = [step.key for step in watch_forms.preview(row).new]
        return self.shown(watch_forms.confirm(template=row, chosen=set(chosen), **self.who()))


BOXES = {"basics": BASICS, "web": WEB, "databases": DATABASES, "ports": PORTS, "url_kinds": URL_KINDS}
"""A set of boxes has no order; a version keeps that of the form."""


class TaskFilter(django_filters.FilterSet):
    customer = django_filters.NumberFilter(field_name="customer_id")
    template = django_filters.NumberFilter(field_name="template_id")
    done = django_filters.BooleanFilter(field_name="done_at", lookup_expr="isnull", exclude=True)


@extend_schema(tags=["monitoring templates"])
class TemplateTaskViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[TemplateTask]):
    """What the templates left for people to do."""

    model = TemplateTask
    serializer_class = TemplateTaskSerializer
    filterset_class = TaskFilter
    lookup_value_converter = "int"

    @extend_schema(request=SettleSerializer, responses=TemplateTaskSerializer)
    @action(detail=True, methods=["post"])
    def settle(self, _request: Request, **_kwargs: object) -> Response:
        """It is done, or not after all. Of the provider only."""
        row = self.get_object()
        if not is_provider(self.person):
            raise PermissionDenied
        watch_forms.settle_task(task=row, done=self.said(SettleSerializer)["done"], **self.who())
        return self.shown(row)
