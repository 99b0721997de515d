"""The API as declarations: what can be asked, what can be overridden, and what comes back."""
