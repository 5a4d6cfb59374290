"""Time stamps in tables: how they are written, what they are, and the regular grid that they may lie on."""
