"""The REST API of scripts on hosts: the library, and runs with their hosts. The rules are those of the pages."""

from typing import Any

import django_filters
from django.core.exceptions import PermissionDenied
from django.db.models import Prefetch, QuerySet
from django.utils.translation import gettext as _
from drf_spectacular.utils import extend_schema
from rest_framework import mixins, serializers, status
from rest_framework.decorators import action
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.api import TenantViewSet, own_customer
from accounts.api_access import CursorPagination
from assets.models import AccountPurpose, Asset
from changes.catalogue import Words
from changes.models import HostState, ScriptHost, ScriptLine, ScriptRun, ScriptRunState, ScriptVersion
from changes.permissions import may_ever
from changes.run_api import found_change
from changes.script_words import line_text, problem_text
from changes.scripts import LONGEST_BODY, LONGEST_PATCH, LONGEST_S, MOST_OUTPUT, Interpreter, Script
from changes.services import script_library, script_runs
from changes.services.script_library import LONGEST_CODE, Proposal
from changes.services.script_runs import MOST_AT_A_TIME, MOST_HOSTS, Pace
from changes.states import Verb
from incidents.api import PersonSerializer, Said


class ScriptSerializer(serializers.ModelSerializer[ScriptVersion]):
    proposed_by = PersonSerializer(read_only=True)
    approved_by = PersonSerializer(read_only=True, allow_null=True)
    is_approved = serializers.BooleanField(read_only=True)

    class Meta:
        model = ScriptVersion
        fields: tuple[str, ...] = (
            "id", "customer", "code", "number", "name_zh", "name_en", "purpose", "interpreter", "body", "parameters",
            "accounts", "as_root", "only_reads", "patch", "timeout_s", "output_limit", "sha256", "is_approved",
            "proposed_by", "proposed_at", "approved_by", "approved_at", "retired_at",
        )  # fmt: skip
        read_only_fields = fields


class ScriptFilter(django_filters.FilterSet):
    code = django_filters.CharFilter(field_name="code")
    only_reads = django_filters.BooleanFilter(field_name="only_reads")
    approved = django_filters.BooleanFilter(field_name="approved_at", lookup_expr="isnull", exclude=True)


class ProposalSerializer(Said):
    customer = serializers.IntegerField(
        required=False, allow_null=True, default=None, help_text="None: for all customers."
    )
    code = serializers.CharField(max_length=LONGEST_CODE)
    name_zh = serializers.CharField(max_length=120)
    name_en = serializers.CharField(max_length=120)
    purpose = serializers.CharField(max_length=2000, required=False, default="", allow_blank=True)
    interpreter = serializers.ChoiceField(choices=[(one.value, one.value) for one in Interpreter])
    body = serializers.CharField(max_length=LONGEST_BODY, trim_whitespace=False)
    parameters = serializers.ListField(child=serializers.DictField(), required=False, default=list, max_length=12)
    accounts = serializers.ListField(child=serializers.ChoiceField(choices=AccountPurpose.choices))
    as_root = serializers.BooleanField(default=False)
    only_reads = serializers.BooleanField(default=False)
    patch = serializers.CharField(
        max_length=LONGEST_PATCH, required=False, default="", allow_blank=True, help_text="The patch that it brings."
    )
    timeout_s = serializers.IntegerField(min_value=1, max_value=LONGEST_S, default=60)
    output_limit = serializers.IntegerField(min_value=1, max_value=MOST_OUTPUT, default=65_536)


class ScriptViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[ScriptVersion]):
    """Versions of the scripts that may run on hosts."""

    model = ScriptVersion
    serializer_class = ScriptSerializer
    filterset_class = ScriptFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[ScriptVersion]:
        rows: QuerySet[ScriptVersion] = ScriptVersion.objects.joined()
        if getattr(self, "swagger_fake_view", False) or self.person.is_provider:
            return rows
        return rows.exclude(approved_at=None)

    @extend_schema(request=ProposalSerializer, responses={201: ScriptSerializer})
    def create(self, request: Request) -> Response:
        """Propose the next version of a script, or a new one; somebody else approves it."""
        if not self.person.is_provider:
            raise PermissionDenied
        given = self.said(ProposalSerializer)
        asked = given.pop("customer")
        customer = None if asked is None else own_customer(self.person, asked)
        words = Words(given.pop("name_en"), given.pop("name_zh"))
        code, purpose = given.pop("code"), given.pop("purpose")
        script = Script(
            interpreter=Interpreter(given.pop("interpreter")),
            parameters=tuple(given.pop("parameters")),
            accounts=frozenset(given.pop("accounts")),
            **given,
        )
        said = Proposal(code, words, script, purpose)
        made = script_library.propose(customer=customer, said=said, **self.who())
        return self.shown(made, status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=ScriptSerializer)
    @action(detail=True, methods=["post"])
    def approve(self, request: Request, **_kwargs: object) -> Response:
        """A manager who did not propose it lets it run."""
        return self.shown(script_library.approve(version=self.get_object(), **self.who()))

    @extend_schema(request=None, responses=ScriptSerializer)
    @action(detail=True, methods=["post"])
    def retire(self, request: Request, **_kwargs: object) -> Response:
        """It runs no more."""
        return self.shown(script_library.retire(version=self.get_object(), **self.who()))


class ScriptRunSerializer(serializers.ModelSerializer[ScriptRun]):
    script = serializers.CharField(source="version.__str__", read_only=True)
    planned_by = PersonSerializer(read_only=True)
    started_by = PersonSerializer(read_only=True, allow_null=True)
    parameters = serializers.DictField(source="values", read_only=True)
    hosts = serializers.SerializerMethodField(help_text="How many hosts are in which state.")
    problem_text = serializers.SerializerMethodField(help_text="Why it waits or ended, in the caller's language.")

    class Meta:
        model = ScriptRun
        fields: tuple[str, ...] = (
            "id", "customer", "version", "script", "change", "reason", "parameters", "batch_size", "max_failures",
            "waits_after_canary", "state", "problem_code", "problem_text", "wants_pause", "wants_stop", "hosts",
            "planned_by", "planned_at", "started_by", "started_at", "ended_at",
        )  # fmt: skip
        read_only_fields = fields

    def get_hosts(self, run: ScriptRun) -> dict[str, int]:
        found = dict.fromkeys(HostState.values, 0)
        for host in run.hosts.all():
            found[host.state] += 1
        return found

    def get_problem_text(self, run: ScriptRun) -> str:
        return problem_text(run.problem_code)


class ScriptHostSerializer(serializers.ModelSerializer[ScriptHost]):
    problem_text = serializers.SerializerMethodField(help_text="What went wrong, in the caller's language.")

    class Meta:
        model = ScriptHost
        fields: tuple[str, ...] = (
            "id", "position", "asset", "address", "command", "state", "problem_code", "problem_text", "exit_status",
            "stdout", "stderr", "stdout_is_cut", "stderr_is_cut", "attempts", "started_at", "ended_at",
        )  # fmt: skip
        read_only_fields = fields

    def get_problem_text(self, host: ScriptHost) -> str:
        return problem_text(host.problem_code)


class HostPages(CursorPagination):
    """What a host said may be long: `page_size` up to 100."""

    ordering = "position"
    page_size = 20
    max_page_size = 100


class ScriptLineSerializer(serializers.ModelSerializer[ScriptLine]):
    actor = PersonSerializer(read_only=True, allow_null=True)
    text = serializers.SerializerMethodField(help_text="What happened, as a sentence in the caller's language.")

    class Meta:
        model = ScriptLine
        fields = ("at", "kind", "actor", "text")
        read_only_fields = fields

    def get_text(self, line: ScriptLine) -> str:
        return line_text(line)


class ScriptRunFilter(django_filters.FilterSet):
    state = django_filters.MultipleChoiceFilter(choices=ScriptRunState.choices)
    customer = django_filters.NumberFilter(field_name="customer_id")
    change = django_filters.NumberFilter(field_name="change_id")
    version = django_filters.NumberFilter(field_name="version_id")
    asset = django_filters.NumberFilter(field_name="hosts__asset_id")


class NewScriptRunSerializer(Said):
    change = serializers.IntegerField(
        required=False,
        allow_null=True,
        default=None,
        help_text="The change that names the script, its parameters and hosts; the rest is for scripts that only read.",
    )
    version = serializers.IntegerField(required=False, allow_null=True, default=None)
    customer = serializers.IntegerField(required=False, allow_null=True, default=None)
    parameters = serializers.DictField(child=serializers.JSONField(), required=False, default=dict)
    assets = serializers.ListField(
        child=serializers.IntegerField(), required=False, default=list, max_length=MOST_HOSTS
    )
    reason = serializers.CharField(max_length=300, required=False, default="", allow_blank=True)
    canary = serializers.IntegerField(required=False, allow_null=True, default=None, help_text="The first asset.")
    batch_size = serializers.IntegerField(min_value=1, max_value=MOST_AT_A_TIME, default=5)
    max_failures = serializers.IntegerField(min_value=0, max_value=MOST_HOSTS, default=0)
    waits_after_canary = serializers.BooleanField(default=True)


class ScriptJudgementSerializer(Said):
    host = serializers.IntegerField()
    is_done = serializers.BooleanField()
    words = serializers.CharField(max_length=300)


class ScriptHostNamedSerializer(Said):
    host = serializers.IntegerField()


class ScriptRunViewSet(mixins.ListModelMixin, mixins.RetrieveModelMixin, TenantViewSet[ScriptRun]):
    """Scripts on hosts: a canary first, then batches."""

    model = ScriptRun
    serializer_class = ScriptRunSerializer
    filterset_class = ScriptRunFilter
    lookup_value_converter = "int"

    def rows(self) -> QuerySet[ScriptRun]:
        states = Prefetch("hosts", ScriptHost.objects.only("run", "state").order_by())  # not what they said
        rows: QuerySet[ScriptRun] = ScriptRun.objects.for_lists().defer("version__body").prefetch_related(states)
        return rows.distinct()

    @extend_schema(request=NewScriptRunSerializer, responses={201: ScriptRunSerializer})
    def create(self, request: Request) -> Response:
        """The dry run: the exact command for each host. Nothing is sent."""
        if not may_ever(self.person, Verb.DRY_RUN):
            raise PermissionDenied
        given = self.said(NewScriptRunSerializer)
        run = self._of_change(given) if given["change"] is not None else self._reading(given)
        return self.shown(run, status.HTTP_201_CREATED)

    @extend_schema(request=None, responses=ScriptRunSerializer)
    @action(detail=True, methods=["post"])
    def start(self, request: Request, **_kwargs: object) -> Response:
        """Carry out what the dry run showed; 409 while the change is not being carried out."""
        return self.shown(script_runs.start(run=self.get_object(), **self.who()))

    @extend_schema(request=None, responses=ScriptRunSerializer)
    @action(detail=True, methods=["post"])
    def pause(self, request: Request, **_kwargs: object) -> Response:
        """No further host is begun."""
        return self.shown(script_runs.pause(run=self.get_object(), **self.who()))

    @extend_schema(request=None, responses=ScriptRunSerializer)
    @action(detail=True, methods=["post"], url_path="go-on")
    def go_on(self, request: Request, **_kwargs: object) -> Response:
        """Somebody has looked: the hosts to come are next."""
        return self.shown(script_runs.go_on(run=self.get_object(), **self.who()))

    @extend_schema(request=None, responses=ScriptRunSerializer)
    @action(detail=True, methods=["post"])
    def stop(self, request: Request, **_kwargs: object) -> Response:
        """The hosts to come are left out."""
        return self.shown(script_runs.stop(run=self.get_object(), **self.who()))

    @extend_schema(request=ScriptJudgementSerializer, responses=ScriptRunSerializer)
    @action(detail=True, methods=["post"])
    def judge(self, request: Request, **_kwargs: object) -> Response:
        """Somebody has looked at a host of which nobody knew how it went."""
        run, given = self.get_object(), self.said(ScriptJudgementSerializer)
        host = self._host(run, given.pop("host"))
        script_runs.judge(host=host, **given, **self.who())
        return self.shown(run)

    @extend_schema(request=ScriptHostNamedSerializer, responses=ScriptRunSerializer)
    @action(detail=True, methods=["post"])
    def again(self, request: Request, **_kwargs: object) -> Response:
        """A host on which it failed has another turn when the run goes on."""
        run = self.get_object()
        script_runs.again(host=self._host(run, self.said(ScriptHostNamedSerializer)["host"]), **self.who())
        return self.shown(run)

    @extend_schema(responses=ScriptHostSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=HostPages)
    def hosts(self, request: Request, **_kwargs: object) -> Response:
        """Each host with its command, its state and what it said, some at a time."""
        pages, rows = HostPages(), ScriptHost.objects.filter(run=self.get_object())
        shown = pages.paginate_queryset(rows, request, view=self) or []
        return pages.get_paginated_response(ScriptHostSerializer(shown, many=True).data)

    @extend_schema(responses=ScriptLineSerializer(many=True), filters=False)
    @action(detail=True, methods=["get"], filterset_class=None, pagination_class=None)
    def log(self, request: Request, **_kwargs: object) -> Response:
        """Who pressed what, and what the platform decided, the oldest first."""
        lines = self.get_object().lines.select_related("actor")
        return Response(ScriptLineSerializer(lines, many=True).data)

    def _of_change(self, given: dict[str, Any]) -> ScriptRun:
        change = found_change(given["change"])
        pace = self._pace(given, list(change.assets.all()))
        return script_runs.plan_for_change(change=change, pace=pace, **self.who())

    def _reading(self, given: dict[str, Any]) -> ScriptRun:
        customer = own_customer(self.person, given["customer"])
        version = ScriptVersion.objects.joined().filter(pk=given["version"] or 0).first()
        if version is None:
            raise serializers.ValidationError({"version": [_("There is no such script.")]})
        assets = list(Asset.objects.active().filter(customer=customer, pk__in=given["assets"]))
        if len(assets) != len(set(given["assets"])):
            raise serializers.ValidationError({"assets": [_("Not every asset is one of this customer.")]})
        return script_runs.plan_reading(
            customer=customer,
            version=version,
            given=given["parameters"],
            assets=assets,
            reason=given["reason"],
            pace=self._pace(given, assets),
            **self.who(),
        )

    def _pace(self, given: dict[str, Any], assets: list[Asset]) -> Pace:
        canary = next((asset for asset in assets if asset.pk == given["canary"]), None)
        if given["canary"] is not None and canary is None:
            raise serializers.ValidationError({"canary": [_("The canary is not one of the servers.")]})
        return Pace(given["batch_size"], given["max_failures"], given["waits_after_canary"], canary)

    def _host(self, run: ScriptRun, pk: int) -> ScriptHost:
        found = run.hosts.select_related("run__version", "run__change", "run__customer").filter(pk=pk).first()
        if found is None:
            raise serializers.ValidationError({"host": [_("There is no such host.")]})
        return found
