"""The host agent: a small HTTP server that shows this host's figures in Prometheus text.

Runs by itself on Linux and Windows (``python -m monitoring.agent``); needs psutil and prometheus_client
and imports no Django. Metric names are those of node_exporter, so that one collector reads both.
"""

__version__ = "1.1"
