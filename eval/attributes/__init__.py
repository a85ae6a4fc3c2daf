"""Sex and age of predictions."""
