"""One folder with one report: texts, pictures, where numbers come from."""
