"""What changed between two snapshots: read, compared and published. Asks Kore.ai nothing."""
