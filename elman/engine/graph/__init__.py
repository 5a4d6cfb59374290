"""From a step to one graph of ATen operations, forward and backward, whose rows do not mix."""
