"""Models for machines without torch: ONNX graphs in a folder, and a page that runs them in a browser."""
