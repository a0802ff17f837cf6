"""Every attack that the project knows, each refused with a stable code: `table.py` lists them."""
