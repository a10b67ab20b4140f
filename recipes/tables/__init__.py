"""Files of rows and columns, read with a message for whatever is wrong in them."""
