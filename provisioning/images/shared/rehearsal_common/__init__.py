"""What the rehearsal images have in common."""
