//! The handle on a node of the cluster.
