"""The WebSocket: its connection and its messages."""
