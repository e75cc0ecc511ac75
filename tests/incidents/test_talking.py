"""Comments and files, friendly and hostile."""

from pathlib import Path

import pytest
from django.conf import LazySettings
from django.core.files.storage import default_storage
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import DatabaseError, transaction
from django.http import FileResponse

from accounts import scope
from accounts.errors import DomainError
from accounts.models import Customer, User
from incidents import services, uploads
from incidents.models import Attachment, Incident, TimelineEntry
from tests.conftest import NOW, ClientFor
from tests.incidents.conftest import raise_incident

PNG = b"\x89PNG\r\n\x1a\n" + b"\x00" * 100
LOG = b"2026-03-02 upstream timed out\n"


@pytest.fixture
def incident(jia: Customer, alice: User) -> Incident:
    return raise_incident(alice, customer=jia)


@pytest.fixture
def files(tmp_path: Path, settings: LazySettings) -> Path:
    """Files go into a directory of this test alone."""
    settings.STORAGES = {
        **settings.STORAGES,
        "default": {"BACKEND": "django.core.files.storage.FileSystemStorage", "OPTIONS": {"location": tmp_path}},
    }
    return tmp_path


def upload(name: str, content: bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content, content_type="image/png")


def stored(directory: Path) -> list[Path]:
    return [path for path in directory.rglob("*") if path.is_file()]


def body(response: FileResponse) -> bytes:
    return b"".join(response.streaming_content)  # type: ignore[arg-type]  # a synchronous stream


def test_a_comment_with_files_is_kept_and_handed_out_as_a_download(
    incident: Incident, files: Path, alice: User, chen: User, client_for: ClientFor
) -> None:
    said = {"body": "See the log", "attachments": [upload("nginx.log", LOG), upload("图.png", PNG)]}
    assert client_for(alice).post(f"/incidents/{incident.pk}/comment/", said).status_code == 302
    with scope.platform("test"):
        log, picture = Attachment.objects.all()
    assert (log.content_type, picture.content_type, log.size) == ("text/plain", "image/png", len(LOG))
    assert all(path.name.isalnum() for path in stored(files))
    response = client_for(chen).get(f"/incidents/{incident.pk}/files/{log.pk}/")
    assert body(response) == LOG  # type: ignore[arg-type]
    assert response["Content-Disposition"].startswith("attachment")
    assert response["X-Content-Type-Options"] == "nosniff"
    assert "sandbox" in response["Content-Security-Policy"]
    assert "no-store" in response["Cache-Control"]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("picture.svg", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>"),
        ("picture.png", b"<svg onload=alert(1)>"),
        ("page.html", b"<html><script>alert(1)</script>"),
        ("note.txt", b"<!DOCTYPE html><script>alert(1)</script>"),
        ("setup.exe", b"MZ\x90\x00"),
        ("setup.log", b"MZ\x90\x00"),
        ("empty.txt", b""),
    ],
)
def test_what_could_run_is_refused_and_leaves_nothing_behind(
    incident: Incident, files: Path, alice: User, name: str, content: bytes
) -> None:
    with scope.customer(incident.customer_id), pytest.raises(DomainError, match=name):
        services.comment(
            incident=incident, body="x", actor=alice, now=NOW, files=[upload("fine.png", PNG), upload(name, content)]
        )
    with scope.platform("test"):
        assert not Attachment.objects.exists()
        assert TimelineEntry.objects.filter(kind="comment").count() == 0
    assert stored(files) == []


def test_a_refused_file_is_explained_on_the_page(
    incident: Incident, files: Path, alice: User, client_for: ClientFor
) -> None:
    said = {"body": "x", "attachments": [upload("a.svg", b"<svg/>")]}
    page = client_for(alice).post(f"/incidents/{incident.pk}/comment/", said)
    assert page.status_code == 422
    assert "a.svg" in page.content.decode()


def test_a_huge_file_and_too_many_files_are_refused(
    incident: Incident, files: Path, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_BYTES", 1000)
    with scope.customer(incident.customer_id):
        with pytest.raises(DomainError, match=r"big\.log"):
            services.attach(incident=incident, files=[upload("big.log", b"x" * 1001)], actor=alice, now=NOW)
        many = [upload(f"{number}.log", LOG) for number in range(uploads.MAX_FILES + 1)]
        with pytest.raises(DomainError):
            services.attach(incident=incident, files=many, actor=alice, now=NOW)
    assert stored(files) == []


@pytest.mark.parametrize("name", ["../../../etc/passwd", "..\\..\\boot.ini", "/etc/cron.d/x", "a\x00b.txt", "x" * 400])
def test_a_travelling_name_goes_nowhere(incident: Incident, files: Path, alice: User, name: str) -> None:
    file = upload("x.txt", LOG)
    file._name = name  # type: ignore[attr-defined]  # Django itself cleans what a browser sends
    with scope.customer(incident.customer_id):
        services.attach(incident=incident, files=[file], actor=alice, now=NOW)
        attachment = Attachment.objects.get()
    assert "/" not in attachment.name
    assert "\\" not in attachment.name
    (path,) = stored(files)
    assert path.is_relative_to(files / "incidents" / str(incident.customer_id))


def test_a_file_belongs_to_its_incident_and_customer(
    incident: Incident, files: Path, alice: User, eve: User, client_for: ClientFor
) -> None:
    with scope.customer(incident.customer_id):
        services.attach(incident=incident, files=[upload("a.log", LOG)], actor=alice, now=NOW)
        attachment = Attachment.objects.get()
        other = raise_incident(alice, customer=incident.customer)
    assert client_for(eve).get(f"/incidents/{incident.pk}/files/{attachment.pk}/").status_code == 404
    assert client_for(alice).get(f"/incidents/{other.pk}/files/{attachment.pk}/").status_code == 404


def test_the_file_of_an_internal_note_is_the_providers_own(
    incident: Incident, files: Path, alice: User, chen: User, client_for: ClientFor
) -> None:
    with scope.customer(incident.customer_id):
        services.attach(incident=incident, files=[upload("ZANZIBAR.log", LOG)], actor=chen, now=NOW, is_internal=True)
        attachment = Attachment.objects.get()
    address = f"/incidents/{incident.pk}/files/{attachment.pk}/"
    assert client_for(chen).get(address).status_code == 200
    customer = client_for(alice)
    assert customer.get(address).status_code == 404
    assert "ZANZIBAR" not in customer.get(f"/incidents/{incident.pk}/").content.decode()


def test_a_file_that_is_gone_is_not_found(incident: Incident, files: Path, alice: User, client_for: ClientFor) -> None:
    with scope.customer(incident.customer_id):
        services.attach(incident=incident, files=[upload("a.log", LOG)], actor=alice, now=NOW)
        attachment = Attachment.objects.get()
    default_storage.delete(attachment.stored_name)
    assert client_for(alice).get(f"/incidents/{incident.pk}/files/{attachment.pk}/").status_code == 404


def test_files_come_with_the_raised_incident(files: Path, jia: Customer, alice: User, client_for: ClientFor) -> None:
    said = {"title": "x", "severity": "2", "category": "system", "attachments": [upload("a.log", LOG)]}
    assert client_for(alice).post("/incidents/raise/", said).status_code == 302
    with scope.platform("test"):
        assert Attachment.objects.get().entry.kind == "opened"


def test_a_disk_that_is_full_is_said_in_a_sentence_and_nothing_is_kept(
    incident: Incident, files: Path, alice: User
) -> None:
    (files / "incidents").write_text("a file where the directory should be")
    with scope.customer(incident.customer_id), pytest.raises(DomainError) as refusal:
        services.comment(incident=incident, body="x", files=[upload("a.log", LOG)], actor=alice, now=NOW)
    assert refusal.value.code == "not_stored"
    with scope.platform("test"):
        assert not TimelineEntry.objects.filter(kind="comment").exists()


def test_addresses_become_links_and_scripts_do_not(incident: Incident, alice: User, client_for: ClientFor) -> None:
    said = "see https://example.com/a?b=1 and javascript:alert(1) and <a href='javascript:alert(1)'>x</a>"
    with scope.customer(incident.customer_id):
        services.comment(incident=incident, body=said, actor=alice, now=NOW)
    page = client_for(alice).get(f"/incidents/{incident.pk}/").content.decode()
    assert '<a href="https://example.com/a?b=1" rel="nofollow">' in page
    assert 'href="javascript' not in page
    assert "<a href='javascript" not in page


def test_nothing_said_is_refused(incident: Incident, alice: User) -> None:
    with scope.customer(incident.customer_id), pytest.raises(DomainError):
        services.comment(incident=incident, body="  \n ", actor=alice, now=NOW)


def test_the_timeline_cannot_be_rewritten(incident: Incident) -> None:
    with scope.platform("test"):
        entries = TimelineEntry.objects.filter(incident=incident)
        with pytest.raises(DatabaseError), transaction.atomic():
            entries.update(body="never said")
        with pytest.raises(DatabaseError), transaction.atomic():
            entries.delete()
