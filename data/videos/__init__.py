"""From a list of videos to training shards: fetched, decoded, the speaker found, described."""
