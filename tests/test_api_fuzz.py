"""Whatever a machine sends to the API within its description, there is an answer and never a crash."""

from datetime import timedelta
from typing import Any

import pytest
import schemathesis
from django.core.wsgi import get_wsgi_application
from django.utils import timezone
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok

from accounts import scope
from accounts.models import User
from accounts.services import tokens

EXAMPLES = 6


@pytest.mark.django_db(transaction=True)
def test_no_request_breaks_the_api(chen: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("accounts.api_access.PersonThrottle.allow_request", lambda *_arguments: True)
    with scope.user(chen):
        _token, key = tokens.issue(
            actor=chen, name="fuzz", scope="write", valid_for=timedelta(days=1), now=timezone.now()
        )
    headers = {"Authorization": f"Bearer {key}"}
    schema = schemathesis.openapi.from_wsgi("/api/schema/?format=json", get_wsgi_application(), headers=headers)
    tried = set()
    for result in schema.get_all_operations():
        assert isinstance(result, Ok), result
        operation = result.ok()

        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=operation.as_strategy())
        def attempt(case: schemathesis.Case[Any]) -> None:
            answer = case.call(headers=headers)
            tried.add(answer.status_code)
            case.validate_response(answer, checks=[not_a_server_error])

        attempt()
    assert 200 in tried, "the token opens nothing: the test would try the door only"
