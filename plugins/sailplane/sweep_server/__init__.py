"""Sweeps that workers from anywhere may join: a token each, and the HTTP interface that it opens."""
