"""The REST API of follow-ups: read, plan, and each verb as a POST of its own; the rules are those of the pages."""

from typing import Any

import django_filters
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import TenantViewSet
from accounts.models import Customer
from incidents.api import PersonSerializer, Said
from incidents.models import FollowUp, FollowUpState, Incident
from incidents.services import following_up


class FollowUpFilter(django_filters.FilterSet):
    state = django_filters.MultipleChoiceFilter(choices=FollowUpState.choices)
    owner = django_filters.NumberFilter(field_name="owner_id")
    customer = django_filters.NumberFilter(field_name="customer_id")
    incident = django_filters.NumberFilter(field_name="incident_id")
    overdue = django_filters.BooleanFilter(method="by_lateness")
    due_before = django_filters.DateFilter(field_name="due_on", lookup_expr="lt")

    def by_lateness(self, rows: Any, _name: str, value: bool) -> Any:
        late = FollowUp.objects.overdue(timezone.localdate()).values("pk")
        return rows.filter(pk__in=late) if value else rows.exclude(pk__in=late)


class FollowUpSerializer(serializers.ModelSerializer[FollowUp]):
    number = serializers.CharField(read_only=True)
    owner = PersonSerializer(read_only=True)
    created_by = PersonSerializer(read_only=True)
    closed_by = PersonSerializer(read_only=True, allow_null=True)

    class Meta:
        model = FollowUp
        fields = (
            "id", "number", "customer", "incident", "title", "detail", "owner", "due_on", "state", "is_internal",
            "result", "created_by", "created_at", "changed_at", "closed_by", "closed_at", "missed_at", "version",
        )  # fmt: skip
        read_only_fields = fields


class NewFollowUpSerializer(Said):
    incident = serializers.IntegerField(required=False, allow_null=True, default=None)
    customer = serializers.IntegerField(
        required=False, allow_null=True, default=None, help_text="Needed when there is no incident."
    )
    title = serializers.CharField(max_length=200)
    detail = serializers.CharField(
        max_length=following_up.LONGEST, required=False, default="", allow_blank=True, trim_whitespace=True
    )
    owner = serializers.IntegerField(help_text="A person of the provider who serves the customer, or of the customer.")
    due_on = serializers.DateField()
    is_internal = serializers.BooleanField(required=False, default=False)


class ResultSerializer(Said):
    text = serializers.CharField(max_length=following_up.LONGEST)


class FollowUpViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[FollowUp]):
    """What is to be done after incidents, of the customers in reach."""

    model = FollowUp
    serializer_class = FollowUpSerializer
    filterset_class = FollowUpFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[FollowUp]:
        rows: QuerySet[FollowUp] = FollowUp.objects.for_lists()
        return rows

    @extend_schema(request=NewFollowUpSerializer, responses={201: FollowUpSerializer})
    def create(self, request: Request) -> Response:
        """Plan one, for an incident or for a customer; the owner is told and reminded."""
        said = self.said(NewFollowUpSerializer)
        incident, customer = self._about(said.pop("incident"), said.pop("customer"))
        people = {person.pk: person for person in following_up.may_own(customer_id=customer.pk)}
        owner = people.get(said.pop("owner"))
        if owner is None:
            raise serializers.ValidationError({"owner": [_("Nobody of that number can be the owner.")]})
        made = following_up.plan(customer=customer, incident=incident, owner=owner, **said, **self.who())
        return self.shown(made, status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=FollowUpSerializer)
    @action(detail=True, methods=["post"])
    def start(self, request: Request, **_kwargs: object) -> Response:
        """Somebody is at it."""
        return self.shown(following_up.start(follow_up=self.get_object(), **self.who()))

    @extend_schema(request=ResultSerializer, responses=FollowUpSerializer)
    @action(detail=True, methods=["post"])
    def finish(self, request: Request, **_kwargs: object) -> Response:
        """It is done; `text` says what was done."""
        text = self.said(ResultSerializer)["text"]
        return self.shown(following_up.finish(follow_up=self.get_object(), result=text, **self.who()))

    @extend_schema(request=ResultSerializer, responses=FollowUpSerializer)
    @action(detail=True, methods=["post"])
    def drop(self, request: Request, **_kwargs: object) -> Response:
        """It is not going to be done; `text` says why."""
        text = self.said(ResultSerializer)["text"]
        return self.shown(following_up.drop(follow_up=self.get_object(), reason=text, **self.who()))

    @extend_schema(request=None, responses=FollowUpSerializer)
    @action(detail=True, methods=["post"])
    def reopen(self, request: Request, **_kwargs: object) -> Response:
        """It was not done after all."""
        return self.shown(following_up.reopen(follow_up=self.get_object(), **self.who()))

    def _about(self, incident_id: int | None, customer_id: int | None) -> tuple[Incident | None, Customer]:
        if incident_id is not None:
            incident = Incident.objects.select_related("customer").filter(pk=incident_id).first()
            if incident is None or customer_id not in (None, incident.customer_id):
                raise serializers.ValidationError({"incident": [_("There is no such incident.")]})
            return incident, incident.customer
        wanted = self.person.customer_id if customer_id is None else customer_id
        customer = Customer.objects.filter(pk=wanted or 0).first()
        if customer is None:
            raise serializers.ValidationError({"customer": [_("There is no such customer.")]})
        return None, customer
