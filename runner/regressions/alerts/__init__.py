"""All series of a night: rows in, changes and steps of alerts out. Pure."""
