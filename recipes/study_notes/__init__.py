"""The study notes on cross-entropy that this package comes from, computed."""
