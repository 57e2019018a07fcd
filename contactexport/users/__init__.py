"""Who calls, and what they may do: authentication, tokens, limits, and managing users."""
