"""What runs before, in and after each loop, and what is saved, recomputed and overwritten."""
