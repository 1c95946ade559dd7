"""Bodies of requests: read within limits, decoded, and parsed in pieces where they are long."""
