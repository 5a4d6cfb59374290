"""What a model learns to say of an example: a file for each kind of answer, a row in `kinds`."""
