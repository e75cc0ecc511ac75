"""Stand-ins for the outside world, used by tests and by the demo; nothing else imports them."""
