"""Makes what an organisation's deployment on Kubernetes needs before it starts: identities, secrets, a genesis."""
