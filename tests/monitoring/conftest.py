"""Each test begins with a process that remembers nothing."""

from collections.abc import Iterator

import pytest

from monitoring import registry
from tests.portal import browser, portal, visit  # noqa: F401 - fixtures


@pytest.fixture(autouse=True)
def _forgetful_process() -> Iterator[None]:
    registry.forget()
    yield
    registry.forget()
