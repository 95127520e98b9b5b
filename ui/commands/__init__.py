"""What can be typed: a file a command, with its options and their help. What a command does lies in ``ui``.

Each imports what it needs when it runs. Choices are written out in the help texts, as asking the parts
for them would load PyTorch for ``--help``; tests keep both the same.
"""
