"""A page on which a visitor speaks and sees drawings."""
