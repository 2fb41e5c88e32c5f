"""What engines that read snapshots have to be told about a table."""
