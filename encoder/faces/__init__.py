"""A face recognition network of our own: training, export and verification."""
