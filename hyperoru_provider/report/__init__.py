"""A report of exported trades: what exports say, added up exactly, as one page for people."""
