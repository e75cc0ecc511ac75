"""Operations of migrations."""

from collections.abc import Sequence

from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations import CreateModel
from django.db.migrations.operations.base import Operation, OperationCategory
from django.db.migrations.state import ProjectState


class Together(Operation):
    """Changes several models of an app at once.

    One by one, Django renders all models that are related to the changed one, which are nearly all there are, after
    each operation: minutes for every new database. Here they are rendered once. No two operations may be about the
    same thing, since each sees the models as they are before and after all of them.
    """

    category = OperationCategory.MIXED
    serialization_expand_args = ["operations"]  # noqa: RUF012 - as Django declares it

    def __init__(self, operations: Sequence[Operation]) -> None:
        self.operations = list(operations)

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        state.__dict__.pop("apps", None)  # rendered again, whole, when it is asked for
        for operation in self.operations:
            operation.state_forwards(app_label, state)

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        for operation in self.operations:
            operation.database_forwards(app_label, schema_editor, from_state, to_state)

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        for operation in reversed(self.operations):
            operation.database_backwards(app_label, schema_editor, from_state, to_state)

    def describe(self) -> str:
        return "; ".join(operation.describe() for operation in self.operations)


class CreateModels(Together):
    """Creates an app's tables. They may refer to each other in a circle: foreign keys come at the migration's end."""

    def __init__(self, operations: Sequence[CreateModel]) -> None:
        super().__init__(operations)
