"""Training in separate processes. Only they import torch."""
