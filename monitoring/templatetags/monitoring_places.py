"""Parts of assets in words, for templates."""

from django import template

from monitoring.wording import labels_shown

register = template.Library()


@register.filter
def part_name(labels: str) -> str:
    """`mountpoint="/data"` as "/data"."""
    return labels_shown(labels)
