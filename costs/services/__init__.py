"""The verbs of the costs app, one module for each."""
