"""Talking to Kore.ai: configuration, tokens, limits, pages. Knows neither Airflow nor S3."""
