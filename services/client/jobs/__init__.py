"""Training in Kubernetes Jobs: the trainer's port by a Job for each training, which meets the silo over HTTP."""
