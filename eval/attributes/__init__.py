"""Sex and age of drawings."""
