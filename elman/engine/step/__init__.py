"""From a step to a key that changes whenever the step would; and all that it reaches, put back."""
