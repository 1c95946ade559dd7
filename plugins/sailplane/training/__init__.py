"""Training in processes of its own. Modules that import torch are imported only there."""
