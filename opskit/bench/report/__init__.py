"""One file per way to show a run's results; none of them decides or measures."""
