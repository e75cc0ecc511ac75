"""The verbs of reports, one file a noun."""
