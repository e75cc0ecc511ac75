"""Assets as rows of a CSV file that can be edited and imported again."""

from collections.abc import Callable

from assets import sheets
from assets.models import Asset

Read = Callable[[Asset], object]


def columns(language: str) -> dict[str, Read]:
    """Header in the reader's language → what stands below it."""
    return {column.header(language): _READ.get(column.name, _field(column.name)) for column in sheets.COLUMNS}


def _field(name: str) -> Read:
    return lambda asset: getattr(asset, name)


_READ: dict[str, Read] = {
    "id": lambda asset: asset.pk,
    "tags": lambda asset: sheets.tags_text(asset.tags),
    "kind": lambda asset: asset.get_kind_display(),
    "environment": lambda asset: asset.get_environment_display(),
    "status": lambda asset: asset.get_status_display(),
    "cloud_account": lambda asset: str(asset.cloud_account or ""),
}
