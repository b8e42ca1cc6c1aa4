"""Is everything there, after a deployment: checks from a file, run once, with a report and an exit code.

It asks and looks; it never changes what it checks, except through the commands that a checks file names.
"""
