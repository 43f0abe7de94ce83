"""What is made of a run, from :class:`bench.results.Run` alone: a table in the terminal, JSON, plots, and a page."""
