"""Reading a table into series on a grid of time, and windows of them."""
