"""The load tester: asks a web server for what a file lists, and says how it answered.

It never retries a failed request in secret, never invents a latency, and never prints half a result file.
"""
