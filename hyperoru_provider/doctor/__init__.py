"""The doctor: asks a server, read-only, how it differs from the contract, and writes the override that fits it."""
