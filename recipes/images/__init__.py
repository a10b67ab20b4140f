"""Pictures from files, and pictures drawn for want of files."""
