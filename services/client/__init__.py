"""The client loop of one silo: trains and publishes updates."""
