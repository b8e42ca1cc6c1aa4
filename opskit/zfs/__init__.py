"""Mirrored swap on two disks: surveyed, planned, applied, resumed and undone.

It never partitions a disk, never forces a command, and never writes to a device that something uses. On
illumos the mirror is a ZFS pool with a volume; on Linux it is md RAID 1 and on FreeBSD gmirror, unless a
volume is asked for in full knowledge that swap on one can deadlock there.
"""
