"""Tests of the whole consortium on a Kubernetes cluster: installed, trained with, harmed, upgraded, verified."""
