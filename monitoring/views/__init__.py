"""Pages of monitoring, one module per noun."""
