"""Checks: each looks at one thing that a launch needs, and says what it found and how to mend it."""
