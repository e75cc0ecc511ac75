"""Pages of channels, of the delivery log and of the inbox."""
