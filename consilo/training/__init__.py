"""What a task is, and the worker that trains it."""
