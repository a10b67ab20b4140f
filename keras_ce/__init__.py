"""Cross-entropy and margin losses for Keras 3."""
