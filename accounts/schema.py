"""The OpenAPI description: made by looking at models, never at rows, and so outside any customer."""

from typing import Any

from drf_spectacular.generators import SchemaGenerator
from rest_framework.request import Request

from accounts import scope


class ApiSchemaGenerator(SchemaGenerator):
    """Named in settings; serves `/api/schema/` and `manage.py spectacular`."""

    def get_schema(self, request: Request | None = None, public: bool = False) -> Any:
        with scope.platform("API schema"):
            return super().get_schema(request=request, public=public)  # type: ignore[no-untyped-call]  # theirs
