"""A Fabric network in a Kubernetes cluster: what the jobs of helm/fabric do. Its nodes are started by the cluster."""
