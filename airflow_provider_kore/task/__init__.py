"""What a task tells Airflow: assets, lineage, metrics, its state, and whether to retry."""
