"""Monitoring: collectors, series and samples, rules, alerts, graphs."""
