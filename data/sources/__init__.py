"""Where people come from: folders, VoxCeleb; and changes of whole data sets."""
