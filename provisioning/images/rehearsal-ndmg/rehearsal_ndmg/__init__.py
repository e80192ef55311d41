"""The rehearsal of ndmg."""
