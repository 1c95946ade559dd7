"""Request bodies: read within limits, decoded, and parsed in pieces if they are long."""
