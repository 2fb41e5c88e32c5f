"""What lies in a bucket, proven without trust in who wrote it: reads S3 alone, and asks Kore.ai and Airflow nothing."""
