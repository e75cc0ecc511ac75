"""The REST API of cost: bills by day and resource, issued months, anomalies and proposals; rules as on the pages."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import django_filters
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import OpenApiParameter, extend_schema, extend_schema_field
from rest_framework import mixins, serializers, views
from rest_framework.decorators import action
from rest_framework.generics import get_object_or_404
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import TenantViewSet
from accounts.models import Customer, User
from costs import settling
from costs.models import (
    BillDifference,
    BillLine,
    Charge,
    CostAnomaly,
    ProposalKind,
    ProposalState,
    SavingProposal,
    Statement,
    StatementLine,
)
from costs.services import anomalies, deciding, figures
from incidents.api import PersonSerializer, Said
from incidents.months import Month


class BillLineFilter(django_filters.FilterSet):
    customer = django_filters.NumberFilter(field_name="customer_id")
    cloud_account = django_filters.NumberFilter(field_name="cloud_account_id")
    asset = django_filters.NumberFilter(field_name="asset_id")
    product = django_filters.CharFilter(field_name="product_code")
    instance_id = django_filters.CharFilter(field_name="instance_id")
    charge = django_filters.MultipleChoiceFilter(choices=Charge.choices)
    since = django_filters.DateFilter(field_name="day", lookup_expr="gte")
    until = django_filters.DateFilter(field_name="day", lookup_expr="lte")


class BillLineSerializer(serializers.ModelSerializer[BillLine]):
    class Meta:
        model = BillLine
        fields: tuple[str, ...] = (
            "id", "customer", "cloud_account", "day", "product_code", "product_name", "instance_id", "name", "region",
            "spec", "charge", "amount", "gross", "items", "asset",
        )  # fmt: skip
        read_only_fields = fields


class BillLineViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[BillLine]):
    """What each resource cost on each day, in yuan, as it is known now."""

    model = BillLine
    serializer_class = BillLineSerializer
    filterset_class = BillLineFilter
    lookup_value_converter = "int"


class StatementLineSerializer(serializers.ModelSerializer[StatementLine]):
    class Meta:
        model = StatementLine
        fields: tuple[str, ...] = (
            "cloud_account", "asset", "product_code", "product_name", "instance_id", "name", "charge", "cloud_cost",
            "markup", "amount", "is_offboarding",
        )  # fmt: skip
        read_only_fields = fields


class StatementSerializer(serializers.ModelSerializer[Statement]):
    issued_by = PersonSerializer(read_only=True, allow_null=True)

    class Meta:
        model = Statement
        fields: tuple[str, ...] = (
            "id", "customer", "month", "issued_at", "issued_by", "total", "missing", "reason", "digest",
        )  # fmt: skip
        read_only_fields = fields


class DifferenceSerializer(serializers.ModelSerializer[BillDifference]):
    class Meta:
        model = BillDifference
        fields: tuple[str, ...] = (
            "day", "product_code", "product_name", "instance_id", "name", "charge", "issued", "said", "seen_at",
        )  # fmt: skip
        read_only_fields = fields


class StatementFilter(django_filters.FilterSet):
    customer = django_filters.NumberFilter(field_name="customer_id")
    month = django_filters.DateFilter(field_name="month", help_text="The first day of the month.")


class StatementViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[Statement]):
    """Months as they were issued; they never change."""

    model = Statement
    serializer_class = StatementSerializer
    filterset_class = StatementFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[Statement]:
        return Statement.objects.select_related("issued_by")

    @extend_schema(responses=StatementLineSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"])
    def lines(self, request: Request, **_kwargs: object) -> Response:
        """Every line of the month, by pages."""
        return self._paged(self.get_object().lines.all(), StatementLineSerializer)

    @extend_schema(responses=DifferenceSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"])
    def differences(self, request: Request, **_kwargs: object) -> Response:
        """What Alibaba Cloud said later, newest first."""
        statement = self.get_object()
        rows = BillDifference.objects.filter(customer=statement.customer_id).of_month(statement.period)
        return self._paged(rows, DifferenceSerializer)

    def _paged(self, rows: QuerySet[Any], serializer: type[serializers.BaseSerializer[Any]]) -> Response:
        page = self.paginate_queryset(rows)
        return self.get_paginated_response(serializer(page, many=True).data)


class AnomalyFilter(django_filters.FilterSet):
    customer = django_filters.NumberFilter(field_name="customer_id")
    state = django_filters.MultipleChoiceFilter(choices=CostAnomaly.State.choices)
    asset = django_filters.NumberFilter(field_name="asset_id")
    since = django_filters.DateFilter(field_name="last_day", lookup_expr="gte")


class AnomalySerializer(serializers.ModelSerializer[CostAnomaly]):
    explained_by = PersonSerializer(read_only=True, allow_null=True)

    class Meta:
        model = CostAnomaly
        fields: tuple[str, ...] = (
            "id", "customer", "product_code", "product_name", "instance_id", "name", "asset", "first_day", "last_day",
            "amount", "usual", "excess", "weeks", "movers", "state", "found_at", "explained_by", "explained_at", "note",
        )  # fmt: skip
        read_only_fields = fields


class ExplanationSerializer(Said):
    note = serializers.CharField(max_length=1000)
    expected = serializers.BooleanField(required=False, default=False)


class AnomalyViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[CostAnomaly]):
    """Days that cost more than usual."""

    model = CostAnomaly
    serializer_class = AnomalySerializer
    filterset_class = AnomalyFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[CostAnomaly]:
        rows: QuerySet[CostAnomaly] = CostAnomaly.objects.for_lists()
        return rows

    @extend_schema(request=ExplanationSerializer, responses=AnomalySerializer)
    @action(detail=True, methods=["post"])
    def explain(self, request: Request, **_kwargs: object) -> Response:
        """Say what it was; `expected` keeps the same level quiet for eight weeks."""
        said = self.said(ExplanationSerializer)
        return self.shown(anomalies.explain(anomaly=self.get_object(), **said, **self.who()))

    @extend_schema(request=None, responses=AnomalySerializer)
    @action(detail=True, methods=["post"])
    def reopen(self, request: Request, **_kwargs: object) -> Response:
        """Take the explanation back."""
        return self.shown(anomalies.reopen(anomaly=self.get_object(), **self.who()))


class ProposalFilter(django_filters.FilterSet):
    customer = django_filters.NumberFilter(field_name="customer_id")
    state = django_filters.MultipleChoiceFilter(choices=ProposalState.choices)
    kind = django_filters.MultipleChoiceFilter(choices=ProposalKind.choices)
    asset = django_filters.NumberFilter(field_name="asset_id")


class _Measured(serializers.ListSerializer[Any]):
    """What those of a page saved is read at once."""

    def to_representation(self, data: Any) -> list[Any]:
        rows = list(data)
        context: dict[str, Any] = self.context  # type: ignore[assignment]  # the root's own dictionary
        context["measured"] = deciding.measured(rows, timezone.now())
        return super().to_representation(rows)


class ProposalSerializer(serializers.ModelSerializer[SavingProposal]):
    number = serializers.CharField(read_only=True)
    proposed_by = PersonSerializer(read_only=True, allow_null=True)
    decided_by = PersonSerializer(read_only=True, allow_null=True)
    done_by = PersonSerializer(read_only=True, allow_null=True)
    realised_monthly = serializers.SerializerMethodField(help_text="Measured from the bills since it was done.")

    class Meta:
        model = SavingProposal
        fields: tuple[str, ...] = (
            "id", "number", "customer", "kind", "asset", "instance_id", "title", "text", "facts", "monthly",
            "realised_monthly", "announcement", "state", "proposed_at", "proposed_by", "decided_by", "decided_at",
            "reason", "done_by", "done_at", "result", "change",
        )  # fmt: skip
        read_only_fields = fields
        list_serializer_class = _Measured

    def get_realised_monthly(self, row: SavingProposal) -> float | None:
        measured = self.context.get("measured")
        found = deciding.realised(row, timezone.now()) if measured is None else measured.get(row.pk)
        return None if found is None or found.monthly is None else float(found.monthly)


class AcceptSerializer(Said):
    reason = serializers.CharField(max_length=deciding.LONGEST, required=False, default="", allow_blank=True)


class RejectSerializer(Said):
    reason = serializers.CharField(max_length=deciding.LONGEST)


class FinishSerializer(Said):
    result = serializers.CharField(max_length=deciding.LONGEST)


class ProposalViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[SavingProposal]):
    """Proposals to save: the customer's project managers decide, the provider's people do them."""

    model = SavingProposal
    serializer_class = ProposalSerializer
    filterset_class = ProposalFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[SavingProposal]:
        rows: QuerySet[SavingProposal] = SavingProposal.objects.for_lists().select_related("proposed_by")
        return rows

    @extend_schema(request=AcceptSerializer, responses=ProposalSerializer)
    @action(detail=True, methods=["post"])
    def accept(self, request: Request, **_kwargs: object) -> Response:
        """It shall be done."""
        said = self.said(AcceptSerializer)
        return self.shown(deciding.accept(proposal=self.get_object(), **said, **self.who()))

    @extend_schema(request=RejectSerializer, responses=ProposalSerializer)
    @action(detail=True, methods=["post"])
    def reject(self, request: Request, **_kwargs: object) -> Response:
        """It shall not be done; `reason` says why."""
        said = self.said(RejectSerializer)
        return self.shown(deciding.reject(proposal=self.get_object(), **said, **self.who()))

    @extend_schema(request=FinishSerializer, responses=ProposalSerializer)
    @action(detail=True, methods=["post"])
    def finish(self, request: Request, **_kwargs: object) -> Response:
        """It is done; `result` says what was done."""
        said = self.said(FinishSerializer)
        return self.shown(deciding.finish(proposal=self.get_object(), **said, **self.who()))

    @extend_schema(request=None, responses=ProposalSerializer)
    @action(detail=True, methods=["post"])
    def reopen(self, request: Request, **_kwargs: object) -> Response:
        """Think about a rejected one again."""
        return self.shown(deciding.reopen(proposal=self.get_object(), **self.who()))


class AheadSerializer(serializers.Serializer[Any]):
    amount = serializers.FloatField()
    low = serializers.FloatField()
    high = serializers.FloatField()


class MonthCostSerializer(serializers.Serializer[Any]):
    month = serializers.CharField()
    amount = serializers.DecimalField(
        max_digits=18, decimal_places=2, allow_null=True, help_text="Null: no day of the month was read."
    )


class ProductCostSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    name = serializers.CharField()
    resources = serializers.IntegerField()
    amount = serializers.DecimalField(max_digits=18, decimal_places=2)
    usage = serializers.DecimalField(max_digits=18, decimal_places=2)
    before = serializers.DecimalField(max_digits=18, decimal_places=2)
    ahead = AheadSerializer(allow_null=True)
    trend = serializers.SerializerMethodField(help_text="The last six months, the asked one last.")

    @extend_schema_field(MonthCostSerializer(many=True))
    def get_trend(self, row: figures.ProductRow) -> object:
        months: Sequence[figures.MonthSum] = self.context["months"]
        pairs = zip(months, row.trend, strict=True)
        return MonthCostSerializer(
            [{"month": str(one.month), "amount": amount} for one, amount in pairs], many=True
        ).data


class CostSummarySerializer(serializers.Serializer[figures.MonthView]):
    month = serializers.CharField()
    total = serializers.DecimalField(max_digits=18, decimal_places=2)
    before = serializers.DecimalField(max_digits=18, decimal_places=2)
    ahead = AheadSerializer(allow_null=True, help_text="At the end of the month; null where too little is known.")
    missing = serializers.ListField(
        child=serializers.DateField(),
        help_text="Past days whose bill is not known, or not of every account; the sums hold what is known of them.",
    )
    provisional = serializers.ListField(child=serializers.DateField(), help_text="Days that may still grow.")
    trend = serializers.SerializerMethodField(help_text="The last six months, the asked one last.")

    @extend_schema_field(MonthCostSerializer(many=True))
    def get_trend(self, view: figures.MonthView) -> object:
        rows = [{"month": str(one.month), "amount": one.amount if one.days_read else None} for one in view.trend]
        return MonthCostSerializer(rows, many=True).data

    products = ProductCostSerializer(many=True)


class CostMonthQuery(serializers.Serializer[Any]):
    month = serializers.RegexField(r"^20\d\d-(0[1-9]|1[0-2])$", required=False)


class CostSummaryView(views.APIView):
    """A month of one customer by product, with the forecast and what is not known."""

    @extend_schema(
        parameters=[OpenApiParameter("month", str, description="2026-03; this month without it.")],
        responses=CostSummarySerializer,
    )
    def get(self, request: Request, customer_id: int) -> Response:
        if not isinstance(request.user, User):
            raise PermissionDenied
        customer = get_object_or_404(Customer.objects.all(), pk=customer_id)
        asked = CostMonthQuery(data=request.query_params)
        asked.is_valid(raise_exception=True)
        now = timezone.now()
        text = asked.validated_data.get("month", f"{settling.today(now):%Y-%m}")
        view = figures.month_view(customer, Month.parse(text), now)
        return Response(CostSummarySerializer(view, context={"months": view.trend}).data)
