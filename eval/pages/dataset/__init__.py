"""A page that shows a data set: its people, its counts, failures and duplicates."""
