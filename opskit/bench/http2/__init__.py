"""HTTP/2: its frames, field blocks and sessions, and the engine that speaks it. Needs `opskit[http2]`."""
