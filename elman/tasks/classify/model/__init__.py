"""The network: readers of text and signals, recurrent layers, pools over time."""
