"""The demonstration's consortium on Kubernetes: Fabric and three organisations, each in a namespace of its own."""
