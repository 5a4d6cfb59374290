"""Reading examples, dividing and encoding them, and batches of them."""
