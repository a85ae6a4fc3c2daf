"""From a request to a local file."""
