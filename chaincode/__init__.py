"""The state machine behind Fabric's shim: chaincode as a service."""
