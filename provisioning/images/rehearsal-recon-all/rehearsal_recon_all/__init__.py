"""A rehearsal of recon-all: its contract for real, its outputs in name only."""
