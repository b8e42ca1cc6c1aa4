"""A small real HTTP server to try the other tools on: quick, deterministic, right about Range.

It serves nothing from the disk, keeps nothing, and listens on loopback unless told otherwise.
"""
