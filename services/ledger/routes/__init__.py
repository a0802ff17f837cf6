"""The routes of the REST API, by what they are about. They only translate HTTP: every rule is in `consilo.protocol`."""
