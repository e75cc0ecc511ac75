"""The hardening side: what is asked of servers, checks over SSH, exceptions, remedies, direct log-ins."""
