"""Time stamps in tables: how they are written, what they are, the grid that they may lie on."""
