"""From a local file to clips: pictures, speaker, speech, faces."""
