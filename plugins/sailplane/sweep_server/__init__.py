"""Shared sweeps: workers on any machine join over HTTP with a token."""
