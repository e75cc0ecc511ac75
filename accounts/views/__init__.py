"""The pages of customers, people, rosters, calendars and the audit log."""
