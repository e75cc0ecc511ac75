"""The verbs of monitoring, one module per noun."""
