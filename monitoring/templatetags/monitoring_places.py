"""Parts of assets in words, for templates."""

from django import template

from monitoring.rules import plain
from monitoring.wording import labels_shown

register = template.Library()


@register.filter
def part_name(labels: str) -> str:
    """`mountpoint="/data"` as "/data"."""
    return labels_shown(labels)


@register.filter
def figure(threshold: object) -> str:
    """A threshold as people write it: 70, 2.5, {$CPU.HIGH}."""
    return plain(threshold) if isinstance(threshold, float) else str(threshold)
