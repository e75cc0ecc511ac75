"""The REST API of what the platform carries out itself: runs of operations, planned, started, followed and stopped."""

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
from assets.models import CloudAccount
from changes.models import Change, OperationRun, RunLine, RunState, RunStep
from changes.permissions import may_ever
from changes.run_words import line_text, problem_text
from changes.services import runs
from changes.states import Verb
from incidents.api import PersonSerializer, Said


class RunStepSerializer(serializers.ModelSerializer[RunStep]):
    class Meta:
        model = RunStep
        fields: tuple[str, ...] = (
            "position", "product", "action", "params", "result", "state", "percent", "status", "attempts",
            "request_ids", "sent_at", "settled_at",
        )  # fmt: skip
        read_only_fields = fields


class RunLineSerializer(serializers.ModelSerializer[RunLine]):
    actor = PersonSerializer(read_only=True, allow_null=True)
    text = serializers.SerializerMethodField(help_text="What happened, as a sentence in the caller's language.")

    class Meta:
        model = RunLine
        fields = ("at", "kind", "actor", "text")
        read_only_fields = fields

    def get_text(self, line: RunLine) -> str:
        return line_text(line)


class OperationRunSerializer(serializers.ModelSerializer[OperationRun]):
    steps = RunStepSerializer(many=True, read_only=True)
    details = serializers.DictField(source="fields", read_only=True, help_text="What it goes by, out of the change.")
    planned_by = PersonSerializer(read_only=True)
    started_by = PersonSerializer(read_only=True, allow_null=True)
    problem_text = serializers.SerializerMethodField(help_text="What went wrong, in the caller's language.")

    class Meta:
        model = OperationRun
        fields: tuple[str, ...] = (
            "id", "customer", "change", "asset", "cloud_account", "region", "operation", "details", "undoes", "state",
            "percent", "problem_code", "problem_text", "is_stopping", "planned_by", "planned_at", "started_by",
            "started_at", "ended_at", "steps",
        )  # fmt: skip
        read_only_fields = fields

    def get_problem_text(self, run: OperationRun) -> str:
        return problem_text(run.problem_code, run.problem)


class OperationRunFilter(django_filters.FilterSet):
    state = django_filters.MultipleChoiceFilter(choices=RunState.choices)
    customer = django_filters.NumberFilter(field_name="customer_id")
    change = django_filters.NumberFilter(field_name="change_id")
    asset = django_filters.NumberFilter(field_name="asset_id")
    operation = django_filters.CharFilter(field_name="operation")


class PlanSerializer(Said):
    change = serializers.IntegerField()
    backup = serializers.BooleanField(default=False, help_text="Not its own operation but the backup of its assets.")
    cloud_account = serializers.IntegerField(
        required=False, allow_null=True, default=None, help_text="Where the change itself does not say which."
    )


class OperationRunViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[OperationRun]):
    """Operations that the platform carries out under a change, one run for each asset."""

    model = OperationRun
    serializer_class = OperationRunSerializer
    filterset_class = OperationRunFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[OperationRun]:
        rows: QuerySet[OperationRun] = OperationRun.objects.for_lists().prefetch_related("steps")
        return rows

    @extend_schema(request=PlanSerializer, responses={201: OperationRunSerializer(many=True)})
    def create(self, request: Request) -> Response:
        """The dry run: the cloud is asked, and the exact calls are kept. Nothing is changed."""
        if not may_ever(self.person, Verb.DRY_RUN):
            raise PermissionDenied
        given = self.said(PlanSerializer)
        change = found_change(given["change"])
        account = None
        if given["cloud_account"] is not None:
            mine = CloudAccount.objects.existing().filter(customer_id=change.customer_id)
            account = mine.filter(pk=given["cloud_account"]).first()
            if account is None:
                raise serializers.ValidationError({"cloud_account": [_("There is no such cloud account.")]})
        made = runs.plan(change=change, backup=given["backup"], account=account, **self.who())
        shown = self.rows().filter(pk__in=[run.pk for run in made])
        return Response(self.get_serializer(shown, many=True).data, status=status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=OperationRunSerializer)
    @action(detail=True, methods=["post"])
    def start(self, request: Request, **_kwargs: object) -> Response:
        """Carry out what the dry run showed; 409 while the change is not being carried out."""
        return self.shown(runs.start(run=self.get_object(), **self.who()))

    @extend_schema(request=None, responses=OperationRunSerializer)
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, **_kwargs: object) -> Response:
        """No further call is sent; one that was accepted is followed to its end."""
        return self.shown(runs.stop(run=self.get_object(), **self.who()))

    @extend_schema(request=None, responses={201: OperationRunSerializer})
    @action(detail=True, methods=["post"])
    def undo(self, request: Request, **_kwargs: object) -> Response:
        """The dry run of the way back, as a run of its own."""
        return self.shown(runs.undo(run=self.get_object(), **self.who()), status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=OperationRunSerializer)
    @action(detail=True, methods=["post"], url_path="look-again")
    def look_again(self, request: Request, **_kwargs: object) -> Response:
        """What is not known is asked of the cloud once more."""
        return self.shown(runs.look_again(run=self.get_object(), **self.who()))

    @extend_schema(request=None, responses=OperationRunSerializer)
    @action(detail=True, methods=["post"], url_path="give-up")
    def give_up(self, request: Request, **_kwargs: object) -> Response:
        """What is not known counts as failed."""
        return self.shown(runs.give_up(run=self.get_object(), **self.who()))

    @extend_schema(responses=RunLineSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def log(self, request: Request, **_kwargs: object) -> Response:
        """Line by line, the oldest first."""
        lines = self.get_object().lines.select_related("actor")
        return Response(RunLineSerializer(lines, many=True).data)


def found_change(pk: int) -> Change:
    """Raises ValidationError for what is not there or not in reach."""
    change = Change.objects.select_related("customer").filter(pk=pk).first()
    if change is None:
        raise serializers.ValidationError({"change": [_("There is no such change.")]})
    return change
