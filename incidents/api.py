"""The REST API of incidents: read, raise, and every verb as a POST of its own; the rules are those of the pages."""

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
from accounts.models import Severity, User
from assets.models import Asset
from incidents import services, timeline
from incidents.duty import eligible_assignees
from incidents.models import (
    Clock,
    EscalationStep,
    Incident,
    IncidentKind,
    IncidentQuerySet,
    IncidentState,
    Satisfaction,
    TimelineEntry,
)
from incidents.models.satisfaction import BEST
from incidents.searching import holding
from incidents.services import escalating
from incidents.services.talking import LONGEST_COMMENT
from incidents.stages import REPORTED, Stage
from incidents.states import UNSOLVED
from incidents.views.timeline import visible_entries


class IncidentFilter(django_filters.FilterSet):
    state = django_filters.MultipleChoiceFilter(choices=IncidentState.choices)
    unsolved = django_filters.BooleanFilter(method="by_solution")
    severity = django_filters.MultipleChoiceFilter(choices=Severity.choices)
    customer = django_filters.NumberFilter(field_name="customer_id")
    asset = django_filters.NumberFilter(field_name="assets")
    kind = django_filters.MultipleChoiceFilter(choices=IncidentKind.choices)
    parent = django_filters.NumberFilter(field_name="parent_id")
    duplicate_of = django_filters.NumberFilter(field_name="duplicate_of_id")
    assignee = django_filters.NumberFilter(field_name="assignee_id")
    source = django_filters.MultipleChoiceFilter(choices=Incident.Source.choices)
    opened_after = django_filters.IsoDateTimeFilter(field_name="opened_at", lookup_expr="gte")
    opened_before = django_filters.IsoDateTimeFilter(field_name="opened_at", lookup_expr="lt")
    q = django_filters.CharFilter(method="by_words")

    def by_solution(self, rows: QuerySet[Incident], _name: str, value: bool) -> QuerySet[Incident]:
        states = sorted(UNSOLVED)
        return rows.filter(state__in=states) if value else rows.exclude(state__in=states)

    def by_words(self, rows: IncidentQuerySet, _name: str, value: str) -> IncidentQuerySet:
        return holding(rows, value[:100])


class ClockSerializer(serializers.ModelSerializer[Clock]):
    class Meta:
        model = Clock
        fields = (
            "id", "kind", "round", "started_at", "target_minutes", "due_at", "stopped_at", "warned_at", "breached_at",
            "breach_code", "breach_note", "elapsed_seconds", "paused_seconds", "is_provisional",
        )  # fmt: skip
        read_only_fields = fields


class SatisfactionSerializer(serializers.ModelSerializer[Satisfaction]):
    class Meta:
        model = Satisfaction
        fields = ("score", "words", "given_at", "changed_at")
        read_only_fields = fields


class PersonSerializer(serializers.ModelSerializer[User]):
    class Meta:
        model = User
        fields = ("id", "name")
        read_only_fields = fields


class IncidentSerializer(serializers.ModelSerializer[Incident]):
    number = serializers.CharField(read_only=True)
    assignee = PersonSerializer(read_only=True, allow_null=True)
    raised_by = PersonSerializer(read_only=True, allow_null=True)
    acknowledged_by = PersonSerializer(read_only=True, allow_null=True)
    clocks = ClockSerializer(many=True, read_only=True)
    satisfaction = SatisfactionSerializer(read_only=True, allow_null=True)
    assets: Any = serializers.PrimaryKeyRelatedField(many=True, read_only=True)

    class Meta:
        model = Incident
        fields: tuple[str, ...] = (
            "id", "number", "kind", "customer", "title", "description", "severity", "category", "source", "state",
            "parent", "duplicate_of", "assignee", "raised_by", "acknowledged_by", "assets", "cause", "resolution",
            "detected_at", "opened_at", "clock_started_at", "acknowledged_at", "resolved_at", "closed_at", "changed_at",
            "next_due_at", "closes_at", "clocks", "satisfaction", "version",
        )  # fmt: skip
        read_only_fields = fields


class EntrySerializer(serializers.ModelSerializer[TimelineEntry]):
    actor = PersonSerializer(read_only=True, allow_null=True)
    text = serializers.SerializerMethodField(help_text="What happened, as a sentence in the caller's language.")

    class Meta:
        model = TimelineEntry
        fields = ("id", "at", "kind", "actor", "is_internal", "text", "body", "data")
        read_only_fields = fields

    def get_text(self, entry: TimelineEntry) -> str:
        return timeline.sentence(entry)


class StepSerializer(serializers.ModelSerializer[EscalationStep]):
    class Meta:
        model = EscalationStep
        fields = (
            "id", "run", "round", "number", "who", "media", "due_at", "state", "done_at", "is_late", "cancelled_at",
            "cancelled_because", "outcome",
        )  # fmt: skip
        read_only_fields = fields


class Said(serializers.Serializer[Any]):
    """What comes with a verb."""


class Versioned(Said):
    version = serializers.IntegerField(
        required=False, allow_null=True, default=None, help_text="Refuse with 409 when the incident has another one."
    )


class NewIncidentSerializer(Said):
    customer = serializers.IntegerField(required=False, help_text="Needed by the provider's people only.")
    title = serializers.CharField(max_length=200)
    description = serializers.CharField(max_length=20_000, required=False, default="", allow_blank=True)
    severity = serializers.ChoiceField(choices=Severity.choices)
    category = serializers.ChoiceField(choices=Incident.Category.choices, default=Incident.Category.SYSTEM)
    assets = serializers.ListField(child=serializers.IntegerField(), required=False, default=list, max_length=100)


class AssignSerializer(Versioned):
    assignee = serializers.IntegerField(allow_null=True, help_text="A person of the provider, or null for the team.")


class SeveritySerializer(Versioned):
    severity = serializers.ChoiceField(choices=Severity.choices)
    reason = serializers.CharField(max_length=1000)


class WaitSerializer(Said):
    question = serializers.CharField(max_length=4000)


class ResumeSerializer(Said):
    note = serializers.CharField(max_length=4000, required=False, default="", allow_blank=True)


class ResolveSerializer(Versioned):
    resolution = serializers.CharField(max_length=8000)
    cause = serializers.ChoiceField(choices=Incident.Cause.choices)
    proof = serializers.CharField(
        max_length=8000,
        required=False,
        default="",
        allow_blank=True,
        help_text="Needed when the cause is the customer's application: their contacts receive it.",
    )


class CloseSerializer(Said):
    remark = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)
    score = serializers.IntegerField(
        min_value=1, max_value=BEST, required=False, allow_null=True, default=None, help_text="The customer's stars."
    )


class RateSerializer(Said):
    score = serializers.IntegerField(min_value=1, max_value=BEST)
    words = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)


class ReportSerializer(Said):
    stage = serializers.ChoiceField(
        choices=[(stage.value, stage.label) for stage in REPORTED], required=False, allow_null=True, default=None
    )
    body = serializers.CharField(max_length=8000)


class BreachReasonSerializer(Said):
    clock = serializers.IntegerField(help_text="The id of the clock that was missed.")
    code = serializers.ChoiceField(choices=Clock.BreachCode.choices)
    note = serializers.CharField(max_length=2000)


class ReopenSerializer(Said):
    reason = serializers.CharField(max_length=4000)


class GroupSerializer(Said):
    under = serializers.IntegerField(help_text="The incident that calls people and whose clocks count.")


class MergeSerializer(Said):
    into = serializers.IntegerField(help_text="The incident that goes on.")
    reason = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)


class SplitSerializer(Said):
    alerts = serializers.ListField(
        child=serializers.CharField(max_length=200),
        allow_empty=False,
        max_length=500,
        help_text="Keys of alerts on this incident.",
    )
    title = serializers.CharField(max_length=200, required=False, default="", allow_blank=True)


class CommentSerializer(Said):
    body = serializers.CharField(max_length=LONGEST_COMMENT)
    is_internal = serializers.BooleanField(required=False, default=False)


class IncidentViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[Incident]):
    """Incidents of the customers in reach."""

    model = Incident
    serializer_class = IncidentSerializer
    filterset_class = IncidentFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[Incident]:
        rows: QuerySet[Incident] = Incident.objects.for_lists().select_related("raised_by", "acknowledged_by")
        return rows

    @extend_schema(request=NewIncidentSerializer, responses={201: IncidentSerializer})
    def create(self, request: Request) -> Response:
        """Raise an incident: the response clock runs from this moment, 15 minutes whatever the severity."""
        said = self.said(NewIncidentSerializer)
        customer = own_customer(self.person, said.pop("customer", None))
        assets = list(Asset.objects.active().filter(customer=customer, pk__in=said["assets"]))
        if len(assets) != len(set(said["assets"])):
            raise serializers.ValidationError({"assets": [_("Not every asset is one of this customer.")]})
        incident = services.raise_by_customer(
            customer=customer,
            source=Incident.Source.API,
            actor=self.person,
            now=timezone.now(),
            **{**said, "assets": assets, "severity": Severity(said["severity"])},
        )
        return self.shown(incident, status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=IncidentSerializer)
    @action(detail=True, methods=["post"])
    def acknowledge(self, request: Request, **_kwargs: object) -> Response:
        """Take it in hand: the response clock stops. 409 when somebody has it already."""
        return self.shown(services.acknowledge(incident=self.get_object(), **self.who()))

    @extend_schema(request=AssignSerializer, responses=IncidentSerializer)
    @action(detail=True, methods=["post"])
    def assign(self, request: Request, **_kwargs: object) -> Response:
        """Hand it to a person, or with null back to the team."""
        incident, said = self.get_object(), self.said(AssignSerializer)
        assignee = None
        if said["assignee"] is not None:
            assignee = eligible_assignees(incident.customer_id).filter(pk=said["assignee"]).first()
            if assignee is None:
                raise serializers.ValidationError({"assignee": [_("Nobody of that number serves this customer.")]})
        done = services.assign(incident=incident, assignee=assignee, version=said["version"], **self.who())
        return self.shown(done)

    @extend_schema(request=SeveritySerializer, responses=IncidentSerializer)
    @action(detail=True, methods=["post"])
    def severity(self, request: Request, **_kwargs: object) -> Response:
        """Judge it anew; every clock is counted again from its start."""
        said = self.said(SeveritySerializer)
        said["severity"] = Severity(said["severity"])
        return self.shown(services.change_severity(incident=self.get_object(), **said, **self.who()))

    @extend_schema(request=WaitSerializer, responses=IncidentSerializer)
    @action(detail=True, methods=["post"])
    def wait(self, request: Request, **_kwargs: object) -> Response:
        """Ask the customer; the clocks stand still until the reply."""
        said = self.said(WaitSerializer)
        return self.shown(services.wait_for_customer(incident=self.get_object(), **said, **self.who()))

    @extend_schema(request=ResumeSerializer, responses=IncidentSerializer)
    @action(detail=True, methods=["post"])
    def resume(self, request: Request, **_kwargs: object) -> Response:
        """The answer came another way; the clocks run on."""
        return self.shown(services.resume(incident=self.get_object(), **self.said(ResumeSerializer), **self.who()))

    @extend_schema(request=ResolveSerializer, responses=IncidentSerializer)
    @action(detail=True, methods=["post"])
    def resolve(self, request: Request, **_kwargs: object) -> Response:
        """Say what solved it and where the cause was."""
        return self.shown(services.resolve(incident=self.get_object(), **self.said(ResolveSerializer), **self.who()))

    @extend_schema(request=CloseSerializer, responses=IncidentSerializer)
    @action(detail=True, methods=["post"])
    def close(self, request: Request, **_kwargs: object) -> Response:
        """Confirm the solution; a customer may say how good it is."""
        return self.shown(services.confirm(incident=self.get_object(), **self.said(CloseSerializer), **self.who()))

    @extend_schema(request=RateSerializer, responses=IncidentSerializer)
    @action(detail=True, methods=["post"])
    def rate(self, request: Request, **_kwargs: object) -> Response:
        """Give or change the score of a closed incident."""
        incident = self.get_object()
        services.rate(incident=incident, **self.said(RateSerializer), **self.who())
        return self.shown(incident)

    @extend_schema(request=ReportSerializer, responses={201: EntrySerializer})
    @action(detail=True, methods=["post"])
    def report(self, request: Request, **_kwargs: object) -> Response:
        """Tell the customer how far it is; the next report is due from now on."""
        said = self.said(ReportSerializer)
        said["stage"] = None if said["stage"] is None else Stage(said["stage"])
        entry = services.report_stage(incident=self.get_object(), **said, **self.who())
        return Response(EntrySerializer(entry).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=BreachReasonSerializer, responses=IncidentSerializer)
    @action(detail=True, methods=["post"])
    def explain(self, request: Request, **_kwargs: object) -> Response:
        """Say why a deadline was missed; until the month's report stands it may be said better."""
        incident, said = self.get_object(), self.said(BreachReasonSerializer)
        clock = Clock.objects.select_related("incident").filter(incident=incident, pk=said.pop("clock")).first()
        if clock is None:
            raise serializers.ValidationError({"clock": [_("The incident has no such clock.")]})
        services.explain(clock=clock, **said, **self.who())
        return self.shown(incident)

    @extend_schema(request=ReopenSerializer, responses=IncidentSerializer)
    @action(detail=True, methods=["post"])
    def reopen(self, request: Request, **_kwargs: object) -> Response:
        """It was not solved."""
        return self.shown(services.reopen(incident=self.get_object(), **self.said(ReopenSerializer), **self.who()))

    @extend_schema(request=GroupSerializer, responses=IncidentSerializer)
    @action(detail=True, methods=["post"])
    def group(self, request: Request, **_kwargs: object) -> Response:
        """Hang it under another of the same customer: that one calls people, and its clocks count."""
        parent = self._other(self.said(GroupSerializer)["under"], "under")
        return self.shown(services.group(incident=self.get_object(), parent=parent, **self.who()))

    @extend_schema(request=None, responses=IncidentSerializer)
    @action(detail=True, methods=["post"])
    def detach(self, request: Request, **_kwargs: object) -> Response:
        """Let it stand alone again."""
        return self.shown(services.detach(incident=self.get_object(), **self.who()))

    @extend_schema(request=MergeSerializer, responses=IncidentSerializer)
    @action(detail=True, methods=["post"])
    def merge(self, request: Request, **_kwargs: object) -> Response:
        """Close it as a duplicate of another; alerts and assets move there."""
        said = self.said(MergeSerializer)
        into = self._other(said["into"], "into")
        merge = services.merge(duplicate=self.get_object(), into=into, reason=said["reason"], **self.who())
        return self.shown(merge.duplicate)

    @extend_schema(request=None, responses=IncidentSerializer)
    @action(detail=True, methods=["post"])
    def unmerge(self, request: Request, **_kwargs: object) -> Response:
        """Take a duplicate apart again, within seven days."""
        return self.shown(services.unmerge(incident=self.get_object(), **self.who()))

    @extend_schema(request=SplitSerializer, responses={201: IncidentSerializer})
    @action(detail=True, methods=["post"])
    def split(self, request: Request, **_kwargs: object) -> Response:
        """Give some of its alerts an incident of their own, which is answered."""
        incident, said = self.get_object(), self.said(SplitSerializer)
        alerts = list(incident.alerts.filter(alert_key__in=said["alerts"]))
        new = services.split(incident=incident, alerts=alerts, title=said["title"], **self.who())
        return self.shown(new, status.HTTP_201_CREATED)

    @extend_schema(request=CommentSerializer, responses={201: EntrySerializer})
    @action(detail=True, methods=["post"])
    def comments(self, request: Request, **_kwargs: object) -> Response:
        """Write on it; a customer's comment on an incident that waits for them sets the clocks going."""
        entry = services.comment(incident=self.get_object(), **self.said(CommentSerializer), **self.who())
        return Response(EntrySerializer(entry).data, status=status.HTTP_201_CREATED)

    @extend_schema(responses=EntrySerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def timeline(self, request: Request, **_kwargs: object) -> Response:
        """Everything that happened, oldest first; internal entries only for the provider's people."""
        return Response(EntrySerializer(visible_entries(self.get_object(), self.person), many=True).data)

    @extend_schema(responses=StepSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def escalation(self, request: Request, **_kwargs: object) -> Response:
        """Whom the platform called, calls next, or need not call any more; for the provider's people."""
        if not self.person.is_provider:
            raise PermissionDenied
        return Response(StepSerializer(self.get_object().escalation_steps.all(), many=True).data)

    @extend_schema(request=None, responses=StepSerializer)
    @action(detail=True, methods=["post"])
    def escalate(self, request: Request, **_kwargs: object) -> Response:
        """Do the next step at once. 409 when none is left or somebody has the incident in hand."""
        return Response(StepSerializer(escalating.escalate_now(incident=self.get_object(), **self.who())).data)

    def _other(self, pk: int, field: str) -> Incident:
        found = Incident.objects.filter(pk=pk).first()
        if found is None:
            raise serializers.ValidationError({field: [_("There is no such incident.")]})
        return found
