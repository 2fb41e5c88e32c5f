"""Finding out what an environment does, and reporting it. Knows neither Airflow nor S3."""
