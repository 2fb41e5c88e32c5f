"""One bucket: what a store can do, S3, and what lies between. Knows neither snapshots nor Kore.ai."""
