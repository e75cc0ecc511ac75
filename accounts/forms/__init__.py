"""The shape of what people type on the pages of this app; the rules of the business are in the services."""
