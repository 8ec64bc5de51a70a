"""Checkpoints of other trainings and of our own: what their files say, whether the weights fit, and loading them.

transformers draws at random what a file lacks and passes over what it does not know. Here such a checkpoint is refused, with
one exception: the masked-LM head may be missing completely.
"""
