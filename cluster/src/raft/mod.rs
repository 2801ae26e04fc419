//! Between openraft and the network.
