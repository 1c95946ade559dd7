"""Models served on this machine: a supervised process each, behind the router."""
