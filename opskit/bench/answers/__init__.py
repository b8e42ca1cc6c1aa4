"""What looks into answers: `--check`, and failing exchanges kept as HAR."""
