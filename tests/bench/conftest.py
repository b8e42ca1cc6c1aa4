"""Hypothesis without a deadline: a machine shared with other work is sometimes slow, and that is no failure."""

from hypothesis import settings

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")
