"""What images are made from: interpreters, linker, packages of each base, as data."""
