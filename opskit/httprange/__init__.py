"""Does a server really do Range requests, and for which clients is it safe?

It asks, compares and judges. It never sends a body, and never a method that could change something unless
`--unsafe-methods` says so.
"""
