"""A list that comes in pages: read, counted and proven to be whole. Knows neither vendor nor store."""
