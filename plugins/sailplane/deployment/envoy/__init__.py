"""The router: Envoy and its files."""
