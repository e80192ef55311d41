"""A rehearsal of fMRIPrep: its command line for real, its outputs in name only."""
