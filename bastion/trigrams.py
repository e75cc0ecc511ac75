"""Three letters at a time: the index that finds a piece of a command anywhere in it. Pure.

PostgreSQL's own pg_trgm is not in every PostgreSQL that the platform runs on; an array column with a GIN index is.
"""

LONGEST = 20_000
"""Characters of a text that are indexed; what is searched for lies within the first of them or is not found."""


def trigrams(text: str) -> list[str]:
    """All that stand in it, in lower case, each once, sorted. A text of fewer than three characters has none."""
    low = text[:LONGEST].lower()
    return sorted({low[place : place + 3] for place in range(len(low) - 2)})
