"""The controller that moves traffic: it deploys a version, rolls it out step by step, and takes it back."""
