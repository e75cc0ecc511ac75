"""What the platform costs and how quick it is: `make bench`, or `python -m benchmarks.NAME` for one."""
