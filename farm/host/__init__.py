"""Changes to the host: packages, plugins, emulation handlers, and the ledger that undoes them."""
