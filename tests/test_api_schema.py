"""The OpenAPI document describes the API that is there, without a doubt left to the reader."""

import json

import pytest
from django.core.management import call_command

from accounts.models import User
from tests.conftest import ClientFor


@pytest.mark.django_db
def test_the_document_is_valid_openapi_and_free_of_warnings(capsys: pytest.CaptureFixture[str]) -> None:
    call_command("spectacular", "--validate", "--fail-on-warn", "--format", "openapi-json")
    document = json.loads(capsys.readouterr().out)
    assert document["openapi"].startswith("3.1")
    for part in ("assets", "alerts", "incidents", "bastion/sessions", "bastion/grants", "hardening/runs"):
        assert any(path.startswith(f"/api/v1/{part}/") for path in document["paths"]), part


def test_everybody_who_is_signed_in_may_read_it(alice: User, client_for: ClientFor) -> None:
    answer = client_for(alice).get("/api/schema/", headers={"accept": "application/json"})
    assert answer.status_code == 200
