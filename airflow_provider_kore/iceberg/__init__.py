"""Landed snapshots of contact lists, committed to an Iceberg table: in one commit, exactly once."""
