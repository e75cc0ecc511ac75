"""Lists that come in pages and say how many rows there are."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from assets.aliyun.resources import Row, number, rows
from assets.aliyun.transport import AliyunError, Connection

PAGE: Final = 100
MOST_PAGES: Final = 200


def counted(
    client: Connection,
    action: tuple[str, str, str],
    params: Mapping[str, str],
    *,
    path: Sequence[str],
    page: str = "PageNumber",
    region: str = "",
) -> Iterator[Row]:
    """All rows at `path` of a list; `page` is what it calls the number of a page. Raises AliyunError rather than return
    less than it counts."""
    seen = 0
    for at in range(1, MOST_PAGES + 1):
        answer = client.call(*action, {**params, page: str(at), "PageSize": str(PAGE)}, region=region)
        some, total = rows(answer, *path), number(answer, "TotalCount")
        if total is None:
            raise AliyunError("InvalidResponse", f"{action[2]} did not say how many there are.")
        yield from some
        seen += len(some)
        if seen >= total:
            return
        if not some:
            break
    raise AliyunError("IncompleteListing", f"{action[2]} listed fewer than it counted.")
