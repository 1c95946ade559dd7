"""Model bundles, and the register of versions and aliases."""
