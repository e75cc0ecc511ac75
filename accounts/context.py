"""What every page shows besides its own content."""

from django.conf import settings
from django.http import HttpRequest
from django.utils import timezone


def page(request: HttpRequest) -> dict[str, object]:
    """The emergency contact (R130), the server's clock for the countdowns, and whether this is a demonstration."""
    return {
        "emergency": {
            "name": settings.EMERGENCY_NAME,
            "phone": settings.EMERGENCY_PHONE,
            "email": settings.EMERGENCY_EMAIL,
        },
        "provider_name": settings.PROVIDER_NAME,
        "server_now": timezone.now(),
        "is_demo": settings.DEMO,
        "theme": "dark" if request.COOKIES.get("theme") == "dark" else "light",
    }
