"""For every test: how Hypothesis tries things."""

from hypothesis import settings

# On a machine that is busy with something else one example may take as long as it likes.
settings.register_profile("patient", deadline=None)
settings.load_profile("patient")
