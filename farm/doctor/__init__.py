"""What the farm needs around it: every fault at once, its remedy, and the repairs."""
