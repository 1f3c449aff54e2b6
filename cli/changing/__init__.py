"""Changes of members: what an operator's words mean, carrying it out, and telling of it."""
