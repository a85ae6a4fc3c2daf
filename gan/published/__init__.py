"""Generators and discriminators of published methods, written anew from papers and the layer lists of public code."""
