"""Several runs: repeated, compared beyond their noise, or searched for the highest rate."""
