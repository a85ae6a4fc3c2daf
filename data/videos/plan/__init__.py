"""Lists of videos: what each row requests, and what came of it."""
