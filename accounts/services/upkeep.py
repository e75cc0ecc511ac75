"""What must be done now and then, by nobody in particular."""

from collections.abc import Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from django.conf import settings
from django.contrib.sessions.models import Session

from accounts.models import BusinessCalendar, Invitation
from accounts.services import calendars, rotations


def run(*, now: datetime) -> Sequence[int]:
    """Keep calendars, rotations and sessions in order; returns the ids of invitations still to be mailed.

    Needs a platform scope.
    """
    today = now.astimezone(ZoneInfo(settings.TIME_ZONE)).date()
    for calendar in BusinessCalendar.objects.all():
        for year in (today.year, today.year + 1):
            calendars.add_published_year(calendar=calendar, year=year, actor=None, now=now)
    rotations.lay_out_all(now=now)
    Session.objects.filter(expire_date__lt=now).delete()
    unsent = Invitation.objects.filter(mailed_at=None, accepted_at=None, withdrawn_at=None, expires_at__gt=now)
    return list(unsent.values_list("pk", flat=True))
