"""Pages of incidents: the board, lists and forms, the incident itself, its verbs and its files."""
