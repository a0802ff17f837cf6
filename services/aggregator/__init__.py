"""The server loop: closes rounds and publishes global models."""
