"""Model recipes: one `build_*` function per file."""
