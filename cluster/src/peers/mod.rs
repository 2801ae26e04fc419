//! Authenticated channels to other nodes.
