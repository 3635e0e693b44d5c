"""The pages for people: rendered on the server, escaped, nothing from elsewhere."""
