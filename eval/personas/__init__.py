"""What is only known of personas: the best possible result, and checks of the population."""
