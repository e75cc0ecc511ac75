"""No patch reaches production round its gate: not without instances, not in a script, not by renaming what it is."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Customer, Role, User
from assets.models import Asset
from assets.services import inventory
from assets.services.inventory import Ownership
from changes import gates, scripts
from changes.gates import Gate, Lack
from changes.models import Change, ChangeAsset, ScriptVersion
from changes.services import (
    approving,
    confirming,
    drafting,
    evidence,
    executing,
    facts,
    script_library,
    script_runs,
    templates,
)
from changes.services.script_library import Proposal
from changes.services.script_runs import Pace
from changes.services.templates import Described
from incidents.models import Incident, Purpose
from incidents.services import attestations
from tests.changes.conftest import WINDOW, back_up, draft, look, place, prepared, sign, try_out
from tests.changes.hosts import TEXT, approved, script
from tests.conftest import NOW, ClientFor, make_person

pytestmark = pytest.mark.usefixtures("contacts")
PATCH = {"patch": "CVE-2026-1", "analysis": "x"}
BODY = "yum -y update openssl"


@pytest.fixture(autouse=True)
def _scope(jia: Customer) -> Iterator[None]:
    with scope.customer(jia):
        yield


def sop(change: Change, person: User) -> None:
    file = SimpleUploadedFile("sop.pdf", b"%PDF-1.7 procedure")
    evidence.attach(change=change, file=file, purpose="sop", actor=person, now=NOW)


def call(asset: Asset, environment: str, chen: User) -> None:
    """An engineer writes another environment down, as each of them may."""
    inventory.set_owner(assets=[asset], ownership=Ownership(environment=environment), actor=chen, now=NOW)
    asset.refresh_from_db()


def lacks(change: Change) -> set[Lack]:
    change.refresh_from_db()
    found = gates.missing(facts.gather(change, now=NOW))
    return {lack.lack for lack in found if lack.gate is Gate.PATCH_PROVEN}


def done(change: Change, asset: Asset, staging: Asset, *, chen: User, alice: User, lin: User) -> Change:
    """Through to its end."""
    sop(change, alice)
    rita = make_person(f"rita{change.pk}", Role.MANAGER)
    prepared(change, asset, staging, chen=chen, alice=alice, lin=lin, security=(rita,))
    executing.begin(change=change, actor=chen, now=WINDOW[0])
    look(change, chen)
    executing.finish_work(change=change, result="Installed", actor=chen, now=WINDOW[0])
    executing.sign_off(change=change, words="", actor=alice, now=WINDOW[0])
    return change


# without instances


def test_a_patch_names_its_instances(incident: Incident, web: Asset, chen: User, alice: User) -> None:
    with pytest.raises(DomainError) as refused:
        draft(incident, chen, operation="cloud-patch", fields=PATCH)
    assert refused.value.code == "no_assets"
    change = draft(incident, chen, web, operation="cloud-patch", fields=PATCH)
    with pytest.raises(DomainError):
        drafting.edit(
            change=change,
            content=drafting.Content(
                title="x", operation="cloud-patch", fields=PATCH, assets=(), risk="high", plan="x", rollback="x"
            ),
            actor=chen,
            now=NOW,
        )
    ChangeAsset.objects.filter(change=change).delete()
    sop(change, alice)
    assert lacks(change) == {Lack.NO_INSTANCE}


# in a script


def test_a_script_says_what_it_brings_and_its_digest_says_it_too(chen: User, lin: User) -> None:
    plain, bringing = script(BODY, only_reads=False), script(BODY, only_reads=False, patch="CVE-2026-1")
    assert scripts.digest(plain) != scripts.digest(bringing)
    for wrong in (script(BODY, patch="CVE-2026-1"), script(BODY, only_reads=False, patch="a\nb")):
        with pytest.raises(DomainError) as refused:
            script_library.propose(
                customer=None, said=Proposal("x", scripts.shipped()["processes"].words, wrong), actor=chen, now=NOW
            )
        assert refused.value.code == "bad_patch"
    version = approved(bringing, chen, lin)
    assert version.is_as_approved
    version.patch = ""
    assert not version.is_as_approved, "nobody takes it off what was approved"


def test_what_was_approved_before_scripts_named_patches_is_still_as_it_was_approved() -> None:
    """Another digest would shut every script of an older version out."""
    assert scripts.digest(script("true")) == "b0ce7beaa76ecaaad78a3587fb6ce1ccbfc6f2f4d25a1815e76002b4307c9f52"


def test_a_scripted_patch_needs_procedure_and_proof_like_any_other(
    incident: Incident, web: Asset, staging: Asset, chen: User, alice: User, lin: User
) -> None:
    approved(script(BODY, only_reads=False, patch="cve-2026-1 "), chen, lin, code="patch-it")
    fields = {"script": "patch-it", "parameters": ""}
    change = draft(incident, chen, web, operation="script-run", fields=fields)
    assert change.is_patch
    assert lacks(change) == {Lack.NO_SOP, Lack.NOT_PROVEN}
    drafting.submit(change=change, actor=chen, now=NOW)
    asked = confirming.tell_risk(change=change, text="It restarts", actor=chen, now=NOW)
    assert asked is not None
    assert asked.purpose == Purpose.PATCH
    version = ScriptVersion.objects.get(code="patch-it")
    assert f"脚本版本：patch-it@1，SHA-256 {version.sha256}" in asked.text
    assert "cve-2026-1" in asked.text
    sop(change, alice)
    assert lacks(change) == {Lack.NOT_PROVEN}
    other = draft(incident, chen, staging, operation="linux-patch", fields=PATCH)
    done(other, staging, staging, chen=chen, alice=alice, lin=lin)
    assert lacks(change) == set(), "the same patch, brought by hand"


def test_with_other_parameters_a_script_brings_another_patch(
    incident: Incident, web: Asset, staging: Asset, chen: User, alice: User, lin: User
) -> None:
    approved(script("yum update $PARAM_WORD", only_reads=False, patch="yum", parameters=(TEXT,)), chen, lin, code="yum")

    def updating(asset: Asset, word: str) -> Change:
        fields = {"script": "yum@1", "parameters": f"word={word}"}
        return draft(incident, chen, asset, operation="script-run", fields=fields)

    done(updating(staging, "openssl"), staging, staging, chen=chen, alice=alice, lin=lin)
    for word, proven in (("openssl", True), ("kernel", False)):
        change = updating(web, word)
        sop(change, alice)
        assert lacks(change) == (set() if proven else {Lack.NOT_PROVEN}), word


def test_withdrawing_a_version_brings_no_other_one_into_what_was_signed(
    incident: Incident, web: Asset, chen: User, alice: User, lin: User
) -> None:
    """Else a change that was signed for a harmless version would run the one that patches."""
    approved(script(BODY, only_reads=False, patch="CVE-2026-1"), chen, lin, code="twice")
    harmless = approved(script("true", only_reads=False), chen, lin, code="twice")
    change = draft(incident, chen, web, operation="script-run", fields={"script": "twice"})
    drafting.submit(change=change, actor=chen, now=NOW)
    confirming.tell_risk(change=change, text="Nothing", actor=chen, now=NOW)
    change.refresh_from_db()
    assert not change.is_patch
    script_library.retire(version=harmless, actor=chen, now=NOW.replace(hour=NOW.hour + 1))
    change.refresh_from_db()
    assert not change.is_patch
    with pytest.raises(DomainError) as refused:
        script_runs.plan_for_change(change=change, pace=Pace(), actor=chen, now=NOW)
    assert refused.value.code == "no_script"


def test_a_standard_change_with_a_patching_script_is_a_patch(
    jia: Customer, incident: Incident, web: Asset, chen: User, alice: User, lin: User
) -> None:
    approved(script(BODY, only_reads=False, patch="CVE-2026-1"), chen, lin, code="patch-it")
    described = Described(
        name="Patch", operation="script-run", fields={"script": "patch-it"}, assets=(web,), plan="x", rollback="x",
        risk_text="x", valid_until=NOW.date().replace(year=NOW.year + 1),
    )  # fmt: skip
    template = templates.create(customer=jia, said=described, actor=chen, now=NOW)
    assert template.attestation is not None
    assert "patch-it@1" in template.attestation.text
    assert "CVE-2026-1" in template.attestation.text
    attestations.sign(attestation=template.attestation, actor=alice, ip=None, now=NOW)
    template = templates.approve(template=template, actor=lin, now=NOW)
    change = drafting.draft_standard(template=template, assets=[web], incident=incident, actor=chen, now=NOW)
    assert lacks(change) == {Lack.NO_SOP, Lack.NOT_PROVEN}
    assert change.touched.get().environment == "production"
    call(web, "test", chen)
    assert Lack.NOT_PROVEN in lacks(change), "it was signed as production"


# by another environment


def test_what_was_production_when_the_risk_was_told_stays_it(
    incident: Incident, web: Asset, staging: Asset, chen: User, alice: User
) -> None:
    change = draft(incident, chen, web, operation="linux-patch", fields=PATCH)
    drafting.submit(change=change, actor=chen, now=NOW)
    asked = confirming.tell_risk(change=change, text="It restarts", actor=chen, now=NOW)
    assert asked is not None
    assert "web-01 (生产" in asked.text
    sop(change, alice)
    assert lacks(change) == {Lack.NOT_PROVEN}
    call(web, "test", chen)
    assert lacks(change) == {Lack.NOT_PROVEN}, "for an hour"
    with pytest.raises(DomainError) as refused:
        try_out(change, web, chen)
    assert refused.value.code == "production"
    again = confirming.tell_risk(change=change, text="It restarts", actor=chen, now=NOW)
    assert again is not None
    assert again.text != asked.text, "who signs it reads that it is called a test machine"
    assert lacks(change) == set()
    call(web, "production", chen)
    assert lacks(change) == {Lack.NOT_PROVEN}


def test_a_patch_on_something_that_is_production_again_proves_nothing(
    jia: Customer, incident: Incident, web: Asset, staging: Asset, chen: User, alice: User, lin: User
) -> None:
    other = place(jia, "web-02", "production")
    call(other, "test", chen)
    first = draft(incident, chen, other, operation="linux-patch", fields=PATCH)
    done(first, other, staging, chen=chen, alice=alice, lin=lin)
    second = draft(incident, chen, web, operation="linux-patch", fields=PATCH)
    sop(second, alice)
    assert lacks(second) == set()
    call(other, "production", chen)
    assert lacks(second) == {Lack.NOT_PROVEN}


def test_a_test_on_what_is_production_again_counts_no_more(
    incident: Incident, jia: Customer, web: Asset, chen: User
) -> None:
    other = place(jia, "web-02", "test")
    change = draft(incident, chen, web)
    drafting.submit(change=change, actor=chen, now=NOW)
    try_out(change, other, chen)
    assert facts.gather(change, now=NOW).tested is gates.Tested.PASSED
    call(other, "production", chen)
    assert facts.gather(change, now=NOW).tested is gates.Tested.NOT
    call(other, "test", chen)
    try_out(change, other, chen, passed=False)
    call(other, "production", chen)
    assert facts.gather(change, now=NOW).tested is gates.Tested.FAILED, "a failure is not forgotten so"


# pages and API


def test_a_patching_script_is_proposed_by_page_and_api_and_shown(
    chen: User, lin: User, alice: User, client_for: ClientFor
) -> None:
    client = client_for(chen)
    said = {
        "code": "patch-web", "name_zh": "补丁", "name_en": "Patch", "interpreter": "sh", "body": BODY, "parameters": "",
        "accounts": ["operations"], "timeout_s": 60, "output_limit": 1000, "patch": " KB5001  x ",
    }  # fmt: skip
    assert client.post("/changes/scripts/new/", {**said, "only_reads": "on"}).status_code == 422
    assert client.post("/changes/scripts/new/", said).status_code == 302
    version = ScriptVersion.objects.get(code="patch-web")
    assert version.patch == "KB5001 x"
    assert "KB5001 x" in client.get(f"/changes/scripts/{version.pk}/").content.decode()
    body = {**said, "code": "patch-api", "parameters": [], "patch": "KB5002"}
    made = client.post("/api/v1/scripts/", body, content_type="application/json")
    assert (made.status_code, made.json().get("patch")) == (201, "KB5002"), made.content
    wrong = client.post("/api/v1/scripts/", {**body, "only_reads": True}, content_type="application/json")
    assert wrong.status_code == 409
    assert client_for(alice).post("/api/v1/scripts/", body, content_type="application/json").status_code == 403


def test_approvers_are_told_what_the_gates_say(incident: Incident, web: Asset, chen: User, alice: User) -> None:
    """The whole line: a production server, the patch in a script, and nobody can begin."""
    lin = make_person("rita", Role.MANAGER)
    approved(script(BODY, only_reads=False, patch="CVE-2026-1"), chen, lin, code="patch-it")
    change = draft(incident, chen, web, operation="script-run", fields={"script": "patch-it"}, test_waiver="none")
    drafting.submit(change=change, actor=chen, now=NOW)
    confirming.tell_risk(change=change, text="It restarts", actor=chen, now=NOW)
    sign(change, alice)
    back_up(change, web, chen)
    with pytest.raises(DomainError):
        approving.decide(change=change, is_yes=True, words="", actor=lin, now=NOW)
    change.refresh_from_db()
    assert (change.state, change.gate) == ("preparing", "patch_proven")
