"""A page that shows what is in a data set, what is missing, and what is twice in it."""
