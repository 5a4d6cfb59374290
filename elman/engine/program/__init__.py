"""From a graph to row programs: one pass of a loop over one row, as data."""
