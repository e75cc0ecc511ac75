"""Places for the bytes of recordings: a directory, or a bucket of Alibaba Cloud OSS. Whole objects, put at once."""

from __future__ import annotations

import os
from abc import abstractmethod
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, cast

import alibabacloud_oss_v2 as oss
from django.core.exceptions import SuspiciousFileOperation
from django.core.files.storage import Storage

TIMEOUT_S: Final = 30
NOT_FOUND: Final = 404
MOST_AT_ONCE: Final = 1000
"""Objects that OSS deletes with one request."""


class Store(Storage):
    """`put` leaves the old object or the new one, never a part. All raise OSError, `get` FileNotFoundError."""

    @abstractmethod
    def put(self, name: str, data: bytes) -> None: ...

    @abstractmethod
    def get(self, name: str) -> bytes: ...

    @abstractmethod
    def delete(self, name: str) -> None:
        """Nothing happens when it is not there."""

    def delete_many(self, names: Sequence[str]) -> None:
        """The same for each; broken off, some are still there."""
        for name in names:
            self.delete(name)

    def deconstruct(self) -> Any:
        return f"{type(self).__module__}.{type(self).__name__}", [], {}


class Disk(Store):
    """A directory that nobody else reads. What `put` has answered survives a loss of power."""

    def __init__(self, location: str | Path) -> None:
        self._root = Path(location).resolve()

    def put(self, name: str, data: bytes) -> None:
        path = self._path(name)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        draft = path.with_name(f"{path.name}.{os.getpid()}.new")
        try:
            with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            draft.replace(path)
            _sync_directory(path.parent)
        except OSError:
            draft.unlink(missing_ok=True)
            raise

    def get(self, name: str) -> bytes:
        return self._path(name).read_bytes()

    def delete(self, name: str) -> None:
        self._path(name).unlink(missing_ok=True)

    def exists(self, name: str) -> bool:
        return self._path(name).exists()

    def _path(self, name: str) -> Path:
        path = (self._root / name).resolve()
        if not path.is_relative_to(self._root):
            raise SuspiciousFileOperation(name)
        return path


def _sync_directory(path: Path) -> None:
    """A name survives a loss of power with its directory."""
    directory = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


class Bucket(Store):
    """Objects under a prefix of one OSS bucket. `endpoint` empty: the region's own."""

    def __init__(
        self,
        *,
        bucket: str,
        region: str,
        access_key_id: str,
        access_key_secret: str,
        prefix: str = "",
        endpoint: str = "",
    ) -> None:
        config = oss.Config(
            region=region,
            endpoint=endpoint or None,
            use_path_style=bool(endpoint) and not endpoint.endswith(".aliyuncs.com"),
            credentials_provider=oss.credentials.StaticCredentialsProvider(access_key_id, access_key_secret),
            connect_timeout=TIMEOUT_S,
            readwrite_timeout=TIMEOUT_S,
        )
        self._client, self._bucket, self._prefix = oss.Client(config), bucket, prefix.strip("/")

    def put(self, name: str, data: bytes) -> None:
        request = oss.PutObjectRequest(bucket=self._bucket, key=self._key(name), body=data)
        self._ask(lambda: self._client.put_object(request))

    def get(self, name: str) -> bytes:
        request = oss.GetObjectRequest(bucket=self._bucket, key=self._key(name))
        return cast(bytes, self._ask(lambda: self._client.get_object(request).body.content))

    def delete(self, name: str) -> None:
        request = oss.DeleteObjectRequest(bucket=self._bucket, key=self._key(name))
        self._ask(lambda: self._client.delete_object(request))

    def delete_many(self, names: Sequence[str]) -> None:
        for start in range(0, len(names), MOST_AT_ONCE):
            keys = [self._key(name) for name in names[start : start + MOST_AT_ONCE]]
            objects = [oss.ObjectIdentifier(key=key) for key in keys]
            request = oss.DeleteMultipleObjectsRequest(bucket=self._bucket, delete=oss.Delete(objects=objects))
            answer = self._ask(partial(self._client.delete_multiple_objects, request))
            if left := set(keys) - {one.key for one in answer.deleted_objects or ()}:
                raise OSError(f"OSS: {len(left)} objects were not deleted")

    def exists(self, name: str) -> bool:
        try:
            request = oss.HeadObjectRequest(bucket=self._bucket, key=self._key(name))
            self._ask(lambda: self._client.head_object(request))
        except FileNotFoundError:
            return False
        return True

    def _key(self, name: str) -> str:
        return f"{self._prefix}/{name}" if self._prefix else name

    @staticmethod
    def _ask(what: Any) -> Any:
        try:
            return what()
        except oss.exceptions.OperationError as error:
            cause = error.unwrap()
            if getattr(cause, "status_code", 0) == NOT_FOUND:
                raise FileNotFoundError(str(getattr(cause, "code", "not found"))) from None
            raise OSError(f"OSS: {getattr(cause, 'code', type(cause).__name__)}") from None
        except oss.exceptions.BaseError as error:
            raise OSError(f"OSS: {type(error).__name__}") from None
