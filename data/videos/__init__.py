"""From a list of videos to training shards: download, decoding, the speaker's face, speech, features."""
