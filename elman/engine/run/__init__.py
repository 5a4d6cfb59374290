"""From a plan and tensors to results, as one operation of autograd."""
