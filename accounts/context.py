"""What every page shows besides its own content."""

from django.conf import settings
from django.http import HttpRequest


def page(_request: HttpRequest) -> dict[str, object]:
    """The emergency contact (R130), and whether this is a demonstration."""
    return {
        "emergency": {
            "name": settings.EMERGENCY_NAME,
            "phone": settings.EMERGENCY_PHONE,
            "email": settings.EMERGENCY_EMAIL,
        },
        "is_demo": settings.DEMO,
    }
