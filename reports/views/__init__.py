"""Pages of reports: the accident report while it is written, its verbs, and what was issued."""
