"""Published methods, written anew from their papers and the layers of their public code."""
