"""The networks, and the model around them: scaling and calibrated intervals."""
