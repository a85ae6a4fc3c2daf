"""The demo: personas, trainings, reports and a page as one pipeline of commands."""
