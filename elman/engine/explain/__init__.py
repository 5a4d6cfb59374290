"""What a person reads of a plan."""
