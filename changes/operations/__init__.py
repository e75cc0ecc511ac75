"""The operations that the platform carries out itself, one file each; this list is all there are."""

from collections.abc import Mapping
from typing import Final

from changes.operations import (
    attach_disk,
    dns_record,
    image,
    instance_type,
    ram_user,
    rds_backup,
    rds_parameter,
    resize_disk,
    restart,
    security_group_rule,
    slb_backend,
    snapshot,
    start,
    stop,
)
from changes.operations.executable import Executable, Fields

EXECUTABLES: Final[Mapping[str, Executable]] = {
    one.code: one
    for one in (
        start.OPERATION,
        stop.OPERATION,
        restart.OPERATION,
        snapshot.OPERATION,
        image.OPERATION,
        attach_disk.OPERATION,
        resize_disk.OPERATION,
        instance_type.OPERATION,
        security_group_rule.ADD,
        security_group_rule.REMOVE,
        slb_backend.ADD,
        slb_backend.REMOVE,
        dns_record.OPERATION,
        ram_user.OPERATION,
        rds_backup.OPERATION,
        rds_parameter.OPERATION,
    )
}


def find(operation: str, fields: Fields, kind: str) -> Executable | None:
    """What carries out an operation of the catalogue with these answers on an asset of this kind; None: people do."""
    for one in EXECUTABLES.values():
        if operation in one.serves and (not one.kinds or kind in one.kinds) and one.fits(fields):
            return one
    return None


def backup_of(kind: str) -> Executable | None:
    """What backs an asset of this kind up."""
    return next((one for one in EXECUTABLES.values() if one.backs_up and kind in one.kinds), None)


__all__ = ["EXECUTABLES", "Executable", "Fields", "backup_of", "find"]
