"""A private package index: serves a directory of packages by today's standards, takes uploads, and stands
in front of a public index without letting it replace a private name.

It never sends a private name to an upstream, and never runs anything out of a package.
"""
