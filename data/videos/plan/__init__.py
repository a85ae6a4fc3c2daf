"""Lists of videos: requests, and their outcomes."""
