"""HTTP: login, retries, and the two transports."""
