"""The kinds of service reports, a folder or file each: which parts it has and how each is read."""
