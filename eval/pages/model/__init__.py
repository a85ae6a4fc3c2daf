"""A page that shows what a model hears and draws, how well, and what it cost."""
