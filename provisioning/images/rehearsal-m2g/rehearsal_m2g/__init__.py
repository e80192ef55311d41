"""The rehearsal of m2g."""
