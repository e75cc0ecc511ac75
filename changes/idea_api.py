"""The REST API of ideas for automation; the rules are those of the pages."""

from __future__ import annotations

import django_filters
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import TenantViewSet, own_customer
from accounts.permissions import can_write
from changes.models import AutomationIdea
from changes.services import ideas
from changes.services.ideas import Idea
from incidents.api import PersonSerializer, Said


class AutomationIdeaFilter(django_filters.FilterSet):
    state = django_filters.MultipleChoiceFilter(choices=AutomationIdea.State.choices)
    customer = django_filters.NumberFilter(field_name="customer_id")


class AutomationIdeaSerializer(serializers.ModelSerializer[AutomationIdea]):
    number = serializers.CharField(read_only=True)
    proposed_by = PersonSerializer(read_only=True)
    decided_by = PersonSerializer(read_only=True, allow_null=True)

    class Meta:
        model = AutomationIdea
        fields: tuple[str, ...] = (
            "id", "number", "customer", "title", "what", "found_in", "tool", "effort_hours", "saving_hours", "state",
            "proposed_by", "proposed_at", "decided_by", "decided_at", "reason", "request",
        )  # fmt: skip
        read_only_fields = fields


class NewIdeaSerializer(Said):
    customer = serializers.IntegerField(required=False, help_text="Needed by the provider's people only.")
    title = serializers.CharField(max_length=200)
    what = serializers.CharField(max_length=8000)
    found_in = serializers.CharField(max_length=200)
    tool = serializers.CharField(max_length=120, required=False, default="", allow_blank=True)
    effort_hours = serializers.IntegerField(min_value=1, max_value=100_000)
    saving_hours = serializers.IntegerField(min_value=0, max_value=100_000)


class AcceptIdeaSerializer(Said):
    reason = serializers.CharField(max_length=ideas.LONGEST, required=False, default="", allow_blank=True)


class RejectIdeaSerializer(Said):
    reason = serializers.CharField(max_length=ideas.LONGEST)


class AutomationIdeaViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[AutomationIdea]):
    """Chances for automation that somebody found, and what the customer decided."""

    model = AutomationIdea
    serializer_class = AutomationIdeaSerializer
    filterset_class = AutomationIdeaFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[AutomationIdea]:
        rows: QuerySet[AutomationIdea] = AutomationIdea.objects.for_lists()
        return rows

    @extend_schema(request=NewIdeaSerializer, responses={201: AutomationIdeaSerializer})
    def create(self, request: Request) -> Response:
        """Write one down; the customer's project managers are asked."""
        if not can_write(self.person):
            raise PermissionDenied
        given = self.said(NewIdeaSerializer)
        customer = own_customer(self.person, given.pop("customer", None))
        made = ideas.propose(customer=customer, idea=Idea(**given), **self.who())
        return self.shown(made, status.HTTP_201_CREATED)

    @extend_schema(request=AcceptIdeaSerializer, responses=AutomationIdeaSerializer)
    @action(detail=True, methods=["post"])
    def accept(self, request: Request, **_kwargs: object) -> Response:
        """It shall be built: it becomes a request of the catalogue."""
        return self.shown(ideas.accept(idea=self.get_object(), **self.said(AcceptIdeaSerializer), **self.who()))

    @extend_schema(request=RejectIdeaSerializer, responses=AutomationIdeaSerializer)
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, **_kwargs: object) -> Response:
        """It shall not; `reason` says why."""
        return self.shown(ideas.reject(idea=self.get_object(), **self.said(RejectIdeaSerializer), **self.who()))
