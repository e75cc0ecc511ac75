"""Cost: bills per resource and day, issued months that never change, anomalies, forecast, and proposals to save."""
