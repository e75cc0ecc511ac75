"""The node program: SSH fronts, recorder, and the channel to the portal. It knows no Django and has no database."""

VERSION = "0.1.0"
