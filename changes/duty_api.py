"""The REST API of recurring duties: what comes round, each time it does, and the evidence that closes it."""

from typing import Any

import django_filters
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.utils import timezone
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import TenantViewSet, own_customer
from changes.catalogue import Words
from changes.duties import Kind
from changes.models import DutyFile, DutyKind, DutyOccurrence, DutyRhythm, RecurringDuty
from changes.recurrence import Rhythm
from changes.run_api import found_change
from changes.services import recurring
from changes.services.recurring import Described, Shown
from incidents.api import PersonSerializer, Said


class RecurringDutySerializer(serializers.ModelSerializer[RecurringDuty]):
    next_due_on = serializers.SerializerMethodField()

    class Meta:
        model = RecurringDuty
        fields: tuple[str, ...] = (
            "id", "customer", "code", "kind", "name_zh", "name_en", "rhythm", "first_due_on", "next_due_on",
            "lead_days", "owner_role", "tells_customer", "agenda", "created_at", "ended_at",
        )  # fmt: skip
        read_only_fields = fields

    def get_next_due_on(self, duty: RecurringDuty) -> str | None:
        found = recurring.next_due(duty)
        return None if found is None else found.isoformat()


class NewDutySerializer(Said):
    customer = serializers.IntegerField()
    kind = serializers.ChoiceField(choices=DutyKind.choices)
    name_zh = serializers.CharField(max_length=120)
    name_en = serializers.CharField(max_length=120)
    rhythm = serializers.ChoiceField(choices=DutyRhythm.choices)
    first_due_on = serializers.DateField()
    lead_days = serializers.IntegerField(min_value=0, max_value=recurring.LONGEST_LEAD, default=7)
    owner_role = serializers.ChoiceField(choices=RecurringDuty.Owner.choices, default=RecurringDuty.Owner.ENGINEER)
    tells_customer = serializers.BooleanField(default=False)
    agenda = serializers.CharField(max_length=8000, required=False, default="", allow_blank=True)


class RecurringDutyFilter(django_filters.FilterSet):
    customer = django_filters.NumberFilter(field_name="customer_id")
    kind = django_filters.MultipleChoiceFilter(choices=DutyKind.choices)


class RecurringDutyViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[RecurringDuty]):
    """What is owed again and again."""

    model = RecurringDuty
    serializer_class = RecurringDutySerializer
    filterset_class = RecurringDutyFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[RecurringDuty]:
        rows: QuerySet[RecurringDuty] = RecurringDuty.objects.with_last_due()
        return rows

    @extend_schema(request=NewDutySerializer, responses={201: RecurringDutySerializer})
    def create(self, request: Request) -> Response:
        """One more than the contract's own set."""
        if not self.person.is_provider:
            raise PermissionDenied
        given = self.said(NewDutySerializer)
        customer = own_customer(self.person, given.pop("customer"))
        words = Words(given.pop("name_en"), given.pop("name_zh"))
        kind, rhythm = Kind(given.pop("kind")), Rhythm(given.pop("rhythm"))
        said = Described(kind=kind, words=words, rhythm=rhythm, **given)
        return self.shown(recurring.create(customer=customer, said=said, **self.who()), status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=RecurringDutySerializer)
    @action(detail=True, methods=["post"])
    def end(self, request: Request, **_kwargs: object) -> Response:
        """It comes round no more."""
        return self.shown(recurring.end(duty=self.get_object(), **self.who()))


class DutyFileSerializer(serializers.ModelSerializer[DutyFile]):
    by = PersonSerializer(read_only=True)

    class Meta:
        model = DutyFile
        fields = ("id", "name", "size", "sha256", "at", "by")
        read_only_fields = fields


class DutyOccurrenceSerializer(serializers.ModelSerializer[DutyOccurrence]):
    kind = serializers.CharField(source="duty.kind", read_only=True)
    is_overdue = serializers.SerializerMethodField()
    told_by = PersonSerializer(read_only=True, allow_null=True)
    done_by = PersonSerializer(read_only=True, allow_null=True)
    files = DutyFileSerializer(many=True, read_only=True)

    class Meta:
        model = DutyOccurrence
        fields: tuple[str, ...] = (
            "id", "customer", "duty", "kind", "due_on", "is_overdue", "opened_at", "agenda", "told_at", "told_by",
            "minutes", "result", "backup", "restore_minutes", "link", "change", "files", "done_at", "done_by",
            "dropped_at", "dropped_because",
        )  # fmt: skip
        read_only_fields = fields

    def get_is_overdue(self, occurrence: DutyOccurrence) -> bool:
        return occurrence.is_overdue(timezone.localdate())


class DutyOccurrenceFilter(django_filters.FilterSet):
    customer = django_filters.NumberFilter(field_name="customer_id")
    duty = django_filters.NumberFilter(field_name="duty_id")
    kind = django_filters.MultipleChoiceFilter(field_name="duty__kind", choices=DutyKind.choices)
    open = django_filters.BooleanFilter(method="filter_open")
    due_after = django_filters.DateFilter(field_name="due_on", lookup_expr="gte")
    due_before = django_filters.DateFilter(field_name="due_on", lookup_expr="lt")

    def filter_open(self, rows: QuerySet[DutyOccurrence], _name: str, wanted: bool) -> QuerySet[DutyOccurrence]:
        still_open = {"done_at": None, "dropped_at": None}
        return rows.filter(**still_open) if wanted else rows.exclude(**still_open)


class DutyAgendaSerializer(Said):
    agenda = serializers.CharField(max_length=8000)


class DutyEvidenceSerializer(Said):
    minutes = serializers.CharField(max_length=20_000, required=False, default="", allow_blank=True)
    result = serializers.ChoiceField(
        choices=DutyOccurrence.Result.choices, required=False, default="", allow_blank=True
    )
    backup = serializers.CharField(max_length=300, required=False, default="", allow_blank=True)
    restore_minutes = serializers.IntegerField(
        min_value=1, max_value=100_000, required=False, allow_null=True, default=None
    )
    link = serializers.URLField(max_length=500, required=False, default="", allow_blank=True)
    change = serializers.IntegerField(required=False, allow_null=True, default=None)


class DutyDropSerializer(Said):
    reason = serializers.CharField(max_length=300)


class DutyOccurrenceViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[DutyOccurrence]):
    """Each time that a duty came round."""

    model = DutyOccurrence
    serializer_class = DutyOccurrenceSerializer
    filterset_class = DutyOccurrenceFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[DutyOccurrence]:
        rows: QuerySet[DutyOccurrence] = DutyOccurrence.objects.for_lists().prefetch_related("files__by")
        return rows

    @extend_schema(request=DutyAgendaSerializer, responses=DutyOccurrenceSerializer)
    @action(detail=True, methods=["post"])
    def tell(self, request: Request, **_kwargs: object) -> Response:
        """Tell the customer the day, agenda, content and requirements."""
        given = self.said(DutyAgendaSerializer)
        return self.shown(recurring.tell(occurrence=self.get_object(), **given, **self.who()))

    @extend_schema(request=DutyEvidenceSerializer, responses=DutyOccurrenceSerializer)
    @action(detail=True, methods=["post"])
    def complete(self, request: Request, **_kwargs: object) -> Response:
        """It is done; 409 with what is missing."""
        occurrence, given = self.get_object(), self.said(DutyEvidenceSerializer)
        change: Any = None if given["change"] is None else found_change(given["change"])
        shown = Shown(**{**given, "change": change})
        return self.shown(recurring.complete(occurrence=occurrence, shown=shown, **self.who()))

    @extend_schema(request=DutyDropSerializer, responses=DutyOccurrenceSerializer)
    @action(detail=True, methods=["post"])
    def drop(self, request: Request, **_kwargs: object) -> Response:
        """A service manager leaves it out this time."""
        given = self.said(DutyDropSerializer)
        return self.shown(recurring.drop(occurrence=self.get_object(), **given, **self.who()))
