"""What every training has in common: its folder, its look before it starts, its failures."""
