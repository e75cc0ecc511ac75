"""One module per provider: frozen dataclasses in, an Outcome out. No Django models, no queue, no retry in here."""
