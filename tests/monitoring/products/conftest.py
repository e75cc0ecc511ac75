"""The servers, for every test of this directory."""

from tests.monitoring.products.servers import fpm_port, nginx

__all__ = ["fpm_port", "nginx"]
