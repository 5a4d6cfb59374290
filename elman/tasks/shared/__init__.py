"""What two or more tasks need: reading files of text, and tables of separated values."""
