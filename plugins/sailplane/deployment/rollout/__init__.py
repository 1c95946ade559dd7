"""A new version gets its traffic step by step, and each step is checked before the next one."""
