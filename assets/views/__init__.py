"""Pages: load, authorise, form, service, render."""
