"""What every service needs around it: logs, settings, a start that is announced, an end in order."""
