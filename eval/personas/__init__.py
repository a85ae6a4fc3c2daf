"""Measurements that only personas allow: the best possible retrieval, and checks of their faces and voices."""
