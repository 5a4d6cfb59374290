"""A trained classifier in use: predicting, measuring, drawing."""
