"""How retrieval, likeness and quality of drawings change with variety."""
