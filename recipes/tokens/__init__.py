"""Texts as token ids: tokens, vocabularies, batches of similar length."""
