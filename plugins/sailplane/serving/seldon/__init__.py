"""Seldon's prediction protocol (Core v1), over REST and gRPC, and the class for Seldon's own server."""
