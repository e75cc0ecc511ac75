"""The REST API of the registers: violations, faults, causes at the customer, times with third parties."""

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
from assets.models import Asset
from incidents.api import PersonSerializer, Said
from incidents.models import CauseNotice, Fault, FaultDecision, Incident, ThirdPartyTime, Violation
from incidents.services import causes, faults, third_parties, violations


class ViolationSerializer(serializers.ModelSerializer[Violation]):
    number = serializers.CharField(read_only=True)
    recorded_by = PersonSerializer(read_only=True)
    answered_by = PersonSerializer(read_only=True, allow_null=True)

    class Meta:
        model = Violation
        fields = (
            "id", "number", "customer", "side", "rule", "who", "what", "happened_at", "consequence", "evidence",
            "file_name", "file_sha256", "asset", "incident", "recorded_by", "recorded_at", "answer", "answered_by",
            "answered_at", "words",
        )  # fmt: skip
        read_only_fields = fields


class ViolationFilter(django_filters.FilterSet):
    side = django_filters.MultipleChoiceFilter(choices=Violation.Side.choices)
    rule = django_filters.MultipleChoiceFilter(choices=Violation.Rule.choices)
    customer = django_filters.NumberFilter(field_name="customer_id")
    happened_after = django_filters.IsoDateTimeFilter(field_name="happened_at", lookup_expr="gte")
    happened_before = django_filters.IsoDateTimeFilter(field_name="happened_at", lookup_expr="lt")


class NewViolationSerializer(Said):
    customer = serializers.IntegerField(required=False, help_text="Needed by the provider's people only.")
    side = serializers.ChoiceField(choices=Violation.Side.choices)
    rule = serializers.ChoiceField(choices=Violation.Rule.choices)
    who = serializers.CharField(max_length=120)
    what = serializers.CharField(max_length=8000)
    happened_at = serializers.DateTimeField()
    consequence = serializers.CharField(max_length=4000, required=False, default="", allow_blank=True)
    evidence = serializers.CharField(max_length=8000, required=False, default="", allow_blank=True)
    asset = serializers.IntegerField(required=False, allow_null=True, default=None)
    incident = serializers.IntegerField(required=False, allow_null=True, default=None)


class AgreeSerializer(Said):
    answer = serializers.ChoiceField(choices=Violation.Answer.choices)
    words = serializers.CharField(max_length=4000, required=False, default="", allow_blank=True)


class CountsSerializer(serializers.Serializer[Any]):
    customer = serializers.IntegerField()
    provider = serializers.IntegerField()


class ViolationViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[Violation]):
    """Work outside the platform, by side."""

    model = Violation
    serializer_class = ViolationSerializer
    filterset_class = ViolationFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[Violation]:
        rows: QuerySet[Violation] = Violation.objects.select_related("recorded_by", "answered_by", "customer")
        return rows

    @extend_schema(request=NewViolationSerializer, responses={201: ViolationSerializer})
    def create(self, request: Request) -> Response:
        """Record one; the other side is asked to answer."""
        said = self.said(NewViolationSerializer)
        customer = own_customer(self.person, said.pop("customer", None))
        asset = Asset.objects.filter(customer=customer, pk=said.pop("asset") or 0).first()
        incident = Incident.objects.filter(customer=customer, pk=said.pop("incident") or 0).first()
        made = violations.record(
            customer=customer, asset=asset, incident=incident, actor=self.person, now=timezone.now(), **said
        )
        return Response(ViolationSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=AgreeSerializer, responses=ViolationSerializer)
    @action(detail=True, methods=["post"])
    def answer(self, request: Request, **_kwargs: object) -> Response:
        """Acknowledge or dispute for the side that did not record it."""
        said = self.said(AgreeSerializer)
        made = violations.answer(violation=self.get_object(), actor=self.person, now=timezone.now(), **said)
        return Response(ViolationSerializer(self.rows().get(pk=made.pk)).data)

    @extend_schema(responses=CountsSerializer, filters=True)
    @action(detail=False, methods=["get"], pagination_class=None)
    def counts(self, request: Request, **_kwargs: object) -> Response:
        """How many by side, under the same filters as the list."""
        return Response(self.filter_queryset(Violation.objects.all()).counts())  # type: ignore[attr-defined]  # filters keep the class


class DecisionSerializer(serializers.ModelSerializer[FaultDecision]):
    person = PersonSerializer(read_only=True)

    class Meta:
        model = FaultDecision
        fields = ("side", "verdict", "words", "person", "at")
        read_only_fields = fields


class FaultSerializer(serializers.ModelSerializer[Fault]):
    number = serializers.CharField(read_only=True)
    proposed_by = PersonSerializer(read_only=True)
    incidents: Any = serializers.PrimaryKeyRelatedField(many=True, read_only=True)
    decisions = DecisionSerializer(many=True, read_only=True)

    class Meta:
        model = Fault
        fields = (
            "id", "number", "customer", "title", "summary", "outcome", "proposed_by", "proposed_at", "decided_at",
            "incidents", "decisions",
        )  # fmt: skip
        read_only_fields = fields


class FaultFilter(django_filters.FilterSet):
    outcome = django_filters.MultipleChoiceFilter(choices=Fault.Outcome.choices)
    customer = django_filters.NumberFilter(field_name="customer_id")
    incident = django_filters.NumberFilter(field_name="incidents")
    proposed_after = django_filters.IsoDateTimeFilter(field_name="proposed_at", lookup_expr="gte")
    proposed_before = django_filters.IsoDateTimeFilter(field_name="proposed_at", lookup_expr="lt")


class NewFaultSerializer(Said):
    incident = serializers.IntegerField()
    title = serializers.CharField(max_length=200)
    summary = serializers.CharField(max_length=8000)


class DecideSerializer(Said):
    verdict = serializers.ChoiceField(choices=FaultDecision.Verdict.choices)
    words = serializers.CharField(max_length=4000)


class FaultViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[Fault]):
    """Joint reviews and what they came to."""

    model = Fault
    serializer_class = FaultSerializer
    filterset_class = FaultFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[Fault]:
        rows = Fault.objects.select_related("proposed_by", "customer")
        return rows.prefetch_related("incidents", "decisions__person")

    @extend_schema(request=NewFaultSerializer, responses={201: FaultSerializer})
    def create(self, request: Request) -> Response:
        """Propose an incident as a fault."""
        said = self.said(NewFaultSerializer)
        incident = Incident.objects.filter(pk=said.pop("incident")).first()
        if incident is None:
            raise serializers.ValidationError({"incident": [_("There is no such incident.")]})
        made = faults.propose(incident=incident, actor=self.person, now=timezone.now(), **said)
        return Response(FaultSerializer(self.rows().get(pk=made.pk)).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=DecideSerializer, responses=FaultSerializer)
    @action(detail=True, methods=["post"])
    def decide(self, request: Request, **_kwargs: object) -> Response:
        """The word of one's own side; agreeing the two decide it."""
        fault = self.get_object()
        if faults.side_of(self.person) is None:
            raise PermissionDenied
        faults.decide(fault=fault, actor=self.person, now=timezone.now(), **self.said(DecideSerializer))
        return Response(FaultSerializer(self.rows().get(pk=fault.pk)).data)


class CauseSerializer(serializers.ModelSerializer[CauseNotice]):
    sent_by = PersonSerializer(read_only=True)
    answered_by = PersonSerializer(read_only=True, allow_null=True)

    class Meta:
        model = CauseNotice
        fields = (
            "id", "customer", "incident", "proof", "told", "sent_by", "sent_at", "answer", "answered_by", "answered_at",
            "words",
        )  # fmt: skip
        read_only_fields = fields


class CauseFilter(django_filters.FilterSet):
    answer = django_filters.MultipleChoiceFilter(choices=CauseNotice.Answer.choices)
    customer = django_filters.NumberFilter(field_name="customer_id")
    incident = django_filters.NumberFilter(field_name="incident_id")


class CauseViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[CauseNotice]):
    """What customers were told of causes in their applications."""

    model = CauseNotice
    serializer_class = CauseSerializer
    filterset_class = CauseFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[CauseNotice]:
        return CauseNotice.objects.select_related("sent_by", "answered_by", "incident", "customer")

    @extend_schema(request=AgreeSerializer, responses=CauseSerializer)
    @action(detail=True, methods=["post"])
    def answer(self, request: Request, **_kwargs: object) -> Response:
        """The customer acknowledges or disputes."""
        said = self.said(AgreeSerializer)
        made = causes.answer(notice=self.get_object(), actor=self.person, now=timezone.now(), **said)
        return Response(CauseSerializer(self.rows().get(pk=made.pk)).data)


class ThirdPartySerializer(serializers.ModelSerializer[ThirdPartyTime]):
    class Meta:
        model = ThirdPartyTime
        fields = (
            "id", "customer", "incident", "party", "name", "ticket", "started_at", "ended_at", "answered_at", "note",
        )  # fmt: skip
        read_only_fields = fields


class ThirdPartyFilter(django_filters.FilterSet):
    incident = django_filters.NumberFilter(field_name="incident_id")
    customer = django_filters.NumberFilter(field_name="customer_id")
    party = django_filters.MultipleChoiceFilter(choices=ThirdPartyTime.Party.choices)


class HandOverSerializer(Said):
    incident = serializers.IntegerField()
    party = serializers.ChoiceField(choices=ThirdPartyTime.Party.choices)
    name = serializers.CharField(max_length=120, required=False, default="", allow_blank=True)
    ticket = serializers.CharField(max_length=80, required=False, default="", allow_blank=True)
    started_at = serializers.DateTimeField()
    note = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)


class TakeBackSerializer(Said):
    ended_at = serializers.DateTimeField()
    answered_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    note = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)


class ThirdPartyViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[ThirdPartyTime]):
    """When incidents lay with Alibaba Cloud or another; our clocks run on."""

    model = ThirdPartyTime
    serializer_class = ThirdPartySerializer
    filterset_class = ThirdPartyFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[ThirdPartyTime]:
        within = Incident.objects.values("pk")
        return ThirdPartyTime.objects.filter(incident__in=within).select_related("incident", "customer")

    @extend_schema(request=HandOverSerializer, responses={201: ThirdPartySerializer})
    def create(self, request: Request) -> Response:
        """Hand an incident over."""
        said = self.said(HandOverSerializer)
        incident = Incident.objects.filter(pk=said.pop("incident")).first()
        if incident is None:
            raise serializers.ValidationError({"incident": [_("There is no such incident.")]})
        made = third_parties.hand_over(incident=incident, actor=self.person, now=timezone.now(), **said)
        return Response(ThirdPartySerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=TakeBackSerializer, responses=ThirdPartySerializer)
    @action(detail=True, methods=["post"])
    def end(self, request: Request, **_kwargs: object) -> Response:
        """Take it back."""
        said = self.said(TakeBackSerializer)
        made = third_parties.take_back(stretch=self.get_object(), actor=self.person, now=timezone.now(), **said)
        return Response(ThirdPartySerializer(made).data)
