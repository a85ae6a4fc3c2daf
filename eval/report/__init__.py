"""Parts that all reports share: the folder, Markdown, figures, provenance, and the mirror in Weights & Biases."""
