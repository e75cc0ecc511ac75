"""The database and queue servers that come inside Python wheels, run by ourselves: nothing here imports Django."""
