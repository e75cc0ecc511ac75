"""The REST API of service requests and of what has to be signed; the rules are those of the pages."""

from typing import Any

import django_filters
from django.db.models import Q, QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import TenantViewSet, own_customer
from assets.models import Asset
from incidents.api import IncidentFilter, IncidentSerializer, PersonSerializer, Said
from incidents.models import (
    Attestation,
    AttestationAnswer,
    Incident,
    IncidentKind,
    Purpose,
    Quote,
    QuoteLine,
    RequestPhase,
    ServiceRequest,
)
from incidents.services import attestations, quotes, requests
from incidents.services.requests import Wanted


class RequestFilter(IncidentFilter):
    phase = django_filters.MultipleChoiceFilter(choices=RequestPhase.choices)
    risk = django_filters.MultipleChoiceFilter(field_name="request__risk", choices=ServiceRequest.Risk.choices)
    billing = django_filters.MultipleChoiceFilter(field_name="request__billing", choices=ServiceRequest.Billing.choices)


class WantedSerializer(serializers.ModelSerializer[ServiceRequest]):
    class Meta:
        model = ServiceRequest
        fields = ("operation", "fields", "wished_at", "risk", "billing", "is_out_of_scope", "owes_change")
        read_only_fields = fields


class RequestSerializer(IncidentSerializer):
    request = WantedSerializer(read_only=True)

    class Meta(IncidentSerializer.Meta):
        fields = (*IncidentSerializer.Meta.fields, "phase", "request")
        read_only_fields = fields


class NewRequestSerializer(Said):
    customer = serializers.IntegerField(required=False, help_text="Needed by the provider's people only.")
    title = serializers.CharField(max_length=200)
    description = serializers.CharField(max_length=20_000, required=False, default="", allow_blank=True)
    operation = serializers.CharField(max_length=80, required=False, default="", allow_blank=True)
    details = serializers.DictField(
        child=serializers.CharField(max_length=2000, allow_blank=True),
        required=False,
        default=dict,
        help_text="Details of the operation.",
    )
    wished_at = serializers.DateTimeField(required=False, allow_null=True, default=None)
    assets = serializers.ListField(child=serializers.IntegerField(), required=False, default=list, max_length=100)


class JudgeSerializer(Said):
    risk = serializers.ChoiceField(choices=ServiceRequest.Risk.choices)
    billing = serializers.ChoiceField(choices=ServiceRequest.Billing.choices)
    is_out_of_scope = serializers.BooleanField(default=False)


class WarnSerializer(Said):
    text = serializers.CharField(max_length=8000)


class WordsSerializer(Said):
    words = serializers.CharField(max_length=4000, required=False, default="", allow_blank=True)


class RequestReasonSerializer(Said):
    reason = serializers.CharField(max_length=4000)


class DoneSerializer(Said):
    words = serializers.CharField(max_length=8000)
    without_change = serializers.CharField(
        max_length=1000,
        required=False,
        default="",
        allow_blank=True,
        help_text="Needed where the operation changes something and no change of the request is closed (owes_change).",
    )


class LineSerializer(serializers.Serializer[Any]):
    text = serializers.CharField(max_length=200)
    quantity = serializers.DecimalField(max_digits=10, decimal_places=2)
    unit_price = serializers.DecimalField(max_digits=12, decimal_places=2)


class NewQuoteSerializer(Said):
    lines = LineSerializer(many=True, allow_empty=False)
    valid_until = serializers.DateField()
    note = serializers.CharField(max_length=4000, required=False, default="", allow_blank=True)


class QuoteLineSerializer(serializers.ModelSerializer[QuoteLine]):
    class Meta:
        model = QuoteLine
        fields = ("text", "quantity", "unit_price", "amount")
        read_only_fields = fields


class QuoteSerializer(serializers.ModelSerializer[Quote]):
    number = serializers.CharField(read_only=True)
    lines = QuoteLineSerializer(many=True, read_only=True)

    class Meta:
        model = Quote
        fields = ("id", "number", "incident", "attestation", "amount", "valid_until", "note", "offered_at", "lines")
        read_only_fields = fields


class RequestViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[Incident]):
    """Service requests of the customers in reach."""

    model = Incident
    serializer_class = RequestSerializer
    filterset_class = RequestFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[Incident]:
        rows: QuerySet[Incident] = Incident.objects.filter(kind=IncidentKind.REQUEST).for_lists()
        return rows.select_related("raised_by", "acknowledged_by", "request")

    @extend_schema(request=NewRequestSerializer, responses={201: RequestSerializer})
    def create(self, request: Request) -> Response:
        """Ask for work: a response within 15 minutes, then a review by an engineer."""
        said = self.said(NewRequestSerializer)
        customer = own_customer(self.person, said.get("customer"))
        assets = list(Asset.objects.active().filter(customer=customer, pk__in=said["assets"]))
        if len(assets) != len(set(said["assets"])):
            raise serializers.ValidationError({"assets": [_("Not every asset is one of this customer.")]})
        incident = requests.raise_request(
            customer=customer,
            title=said["title"],
            description=said["description"],
            assets=assets,
            wanted=Wanted(
                operation=said["operation"],
                fields=said["details"],
                wished_at=said["wished_at"],
                owes_change=bool(said["operation"]),  # the catalogue stands upstairs: whoever finishes it says so
            ),
            source=Incident.Source.API,
            **self.who(),
        )
        return self.shown(incident, status.HTTP_201_CREATED)

    @extend_schema(request=JudgeSerializer, responses=RequestSerializer)
    @action(detail=True, methods=["post"])
    def judge(self, request: Request, **_kwargs: object) -> Response:
        """The review: risk, billing, scope."""
        return self.shown(requests.judge(incident=self.get_object(), **self.said(JudgeSerializer), **self.who()))

    @extend_schema(request=WarnSerializer, responses=RequestSerializer)
    @action(detail=True, methods=["post"])
    def warn(self, request: Request, **_kwargs: object) -> Response:
        """Warn of the risk: it goes on only with the written confirmation of the named service contact."""
        incident = self.get_object()
        requests.warn(incident=incident, **self.said(WarnSerializer), **self.who())
        return self.shown(incident)

    @extend_schema(request=NewQuoteSerializer, responses={201: QuoteSerializer})
    @action(detail=True, methods=["post"])
    def quote(self, request: Request, **_kwargs: object) -> Response:
        """Offer extra work; it waits for the project manager's acceptance."""
        said = self.said(NewQuoteSerializer)
        said["lines"] = [quotes.Line(**line) for line in said["lines"]]
        made = quotes.offer(incident=self.get_object(), **said, **self.who())
        return Response(QuoteSerializer(made).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=WordsSerializer, responses=RequestSerializer)
    @action(detail=True, methods=["post"])
    def accept(self, request: Request, **_kwargs: object) -> Response:
        """The review is passed."""
        return self.shown(requests.accept(incident=self.get_object(), **self.said(WordsSerializer), **self.who()))

    @extend_schema(request=RequestReasonSerializer, responses=RequestSerializer)
    @action(detail=True, methods=["post"])
    def refuse(self, request: Request, **_kwargs: object) -> Response:
        """Refuse with a reason that the customer reads."""
        return self.shown(
            requests.refuse(incident=self.get_object(), **self.said(RequestReasonSerializer), **self.who())
        )

    @extend_schema(request=None, responses=RequestSerializer)
    @action(detail=True, methods=["post"])
    def begin(self, request: Request, **_kwargs: object) -> Response:
        """Begin the work; 409 while something has to be signed first."""
        return self.shown(requests.begin(incident=self.get_object(), **self.who()))

    @extend_schema(request=DoneSerializer, responses=RequestSerializer)
    @action(detail=True, methods=["post"])
    def finish(self, request: Request, **_kwargs: object) -> Response:
        """The work is done; the customer is asked to confirm (`/incidents/{id}/close/`)."""
        return self.shown(requests.finish(incident=self.get_object(), **self.said(DoneSerializer), **self.who()))

    @extend_schema(request=RequestReasonSerializer, responses=RequestSerializer)
    @action(detail=True, methods=["post"])
    def withdraw(self, request: Request, **_kwargs: object) -> Response:
        """It is no longer wanted."""
        return self.shown(
            requests.withdraw(incident=self.get_object(), **self.said(RequestReasonSerializer), **self.who())
        )


class AnswerSerializer(serializers.ModelSerializer[AttestationAnswer]):
    class Meta:
        model = AttestationAnswer
        fields = (
            "outcome", "at", "received_at", "channel", "signer", "signer_name", "signer_duty", "signer_email",
            "recorded_by", "ip", "words", "text_sha256", "file_name", "file_size", "file_sha256",
        )  # fmt: skip
        read_only_fields = fields


class AttestationSerializer(serializers.ModelSerializer[Attestation]):
    number = serializers.CharField(read_only=True)
    asked_by = PersonSerializer(read_only=True)
    answer = AnswerSerializer(read_only=True, allow_null=True, source="given")

    class Meta:
        model = Attestation
        fields = (
            "id", "number", "customer", "purpose", "incident", "subject", "subject_name", "text", "text_sha256",
            "asked_by", "asked_at", "expires_at", "answer",
        )  # fmt: skip
        read_only_fields = fields


class ProofSerializer(serializers.Serializer[Any]):
    """null: there is nothing of the kind to check."""

    holds = serializers.BooleanField()
    text = serializers.BooleanField()
    signature = serializers.BooleanField(allow_null=True)
    file = serializers.BooleanField(allow_null=True)
    log = serializers.BooleanField()


class AttestationFilter(django_filters.FilterSet):
    purpose = django_filters.MultipleChoiceFilter(choices=Purpose.choices)
    customer = django_filters.NumberFilter(field_name="customer_id")
    incident = django_filters.NumberFilter(field_name="incident_id")
    subject = django_filters.CharFilter()
    outcome = django_filters.ChoiceFilter(
        choices=[("open", "open"), *AttestationAnswer.Outcome.choices], method="by_outcome"
    )

    def by_outcome(self, rows: QuerySet[Attestation], _name: str, value: str) -> QuerySet[Attestation]:
        return rows.filter(Q(answer=None) if value == "open" else Q(answer__outcome=value))


class AttestationViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[Attestation]):
    """What named contacts were asked to sign. Signing is for the person themself: in the portal or by their link."""

    model = Attestation
    serializer_class = AttestationSerializer
    filterset_class = AttestationFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[Attestation]:
        rows: QuerySet[Attestation] = Attestation.objects.select_related("customer", "answer", "asked_by")
        return rows

    @extend_schema(responses=ProofSerializer)
    @action(detail=True, methods=["get"])
    def proof(self, request: Request, **_kwargs: object) -> Response:
        """Count the checksums again and look both acts up in the audit log."""
        return Response(ProofSerializer(attestations.verify(self.get_object())).data)
