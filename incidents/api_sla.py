"""The SLA results over the REST API: what the SLA page shows, stored and not counted anew."""

from typing import Any

from django.shortcuts import get_object_or_404
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.models import Customer
from incidents import results
from incidents.models import Clock
from incidents.months import Month

MONTH = OpenApiParameter("month", str, description="`2026-03`; without it the running month, in China Standard Time.")


class TallySerializer(serializers.Serializer[results.Tally]):
    count = serializers.IntegerField()
    met = serializers.IntegerField()
    missed = serializers.IntegerField()
    missed_by_others = serializers.IntegerField(help_text="Of those missed: the cause was not the provider's.")
    running = serializers.IntegerField()
    share = serializers.FloatField(allow_null=True, help_text="Kept of those judged, per cent.")
    own_share = serializers.FloatField(allow_null=True, help_text="The same for causes of the provider's alone.")


class LineSerializer(serializers.Serializer[results.Line]):
    severity = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=Clock.Kind.choices)
    tally = TallySerializer()
    has_target = serializers.BooleanField()
    mean_s = serializers.FloatField(allow_null=True)
    p90_s = serializers.FloatField(allow_null=True)
    paused_s = serializers.IntegerField()


class SideSerializer(serializers.Serializer[results.Side]):
    label = serializers.CharField()  # type: ignore[assignment]  # the base class keeps the words of forms there
    cause = serializers.CharField()
    incidents = serializers.IntegerField()
    handling_s = serializers.IntegerField()
    held_s = serializers.IntegerField(
        help_text="How long incidents lay with them, by their tickets; stretches that are over."
    )


class ContentSerializer(serializers.Serializer[results.Content]):
    scores = serializers.IntegerField()
    mean = serializers.FloatField(allow_null=True)


class ResultSerializer(serializers.Serializer[results.Result]):
    month = serializers.CharField()
    incidents = serializers.IntegerField()
    lines = LineSerializer(many=True)
    sides = SideSerializer(many=True)
    waited_s = serializers.IntegerField(help_text="Until the customer's replies, added up.")
    content = ContentSerializer()


class StandingSerializer(serializers.Serializer[results.Standing]):
    customer = serializers.IntegerField(source="customer.pk")
    name = serializers.CharField(source="customer.name")
    incidents = serializers.IntegerField()
    response = serializers.SerializerMethodField()
    unexplained = serializers.IntegerField(help_text="Missed deadlines of the provider's without a reason.")
    content = ContentSerializer()

    @extend_schema_field(TallySerializer)
    def get_response(self, standing: results.Standing) -> Any:
        return TallySerializer(standing.tallies.get(Clock.Kind.RESPONSE, results.Tally())).data


class StandingsView(APIView):
    """The month of every customer in reach."""

    @extend_schema(operation_id="sla_list", parameters=[MONTH], responses=StandingSerializer(many=True))
    def get(self, request: Request) -> Response:
        rows = results.standings(_month(request), list(Customer.objects.all()))
        return Response([StandingSerializer(row).data for row in rows])


class ResultView(APIView):
    """The month of one customer, by severity and clock."""

    @extend_schema(operation_id="sla_retrieve", parameters=[MONTH], responses=ResultSerializer)
    def get(self, request: Request, customer_id: int) -> Response:
        customer = get_object_or_404(Customer.objects, pk=customer_id)
        return Response(ResultSerializer(results.of_month(_month(request), customer=customer)).data)


def _month(request: Request) -> Month:
    asked = request.query_params.get("month")
    if not asked:
        return Month.of(timezone.localdate())
    try:
        return Month.parse(asked)
    except ValueError:
        raise serializers.ValidationError({"month": ["2026-03"]}) from None
