"""Charts, tables, pictures and rendering that all pages share."""
