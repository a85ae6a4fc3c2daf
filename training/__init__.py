"""What every training run shares: configuration, run folder, checkpoints, statistics, trackers."""
