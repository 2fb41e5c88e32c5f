"""Turning pages into one verified object. Knows neither Airflow nor HTTP."""
