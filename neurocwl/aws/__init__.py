"""What talks to the control APIs of AWS."""
