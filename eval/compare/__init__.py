"""All methods on one data set, for the same time on one machine."""
