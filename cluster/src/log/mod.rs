//! Log, vote and committed index, in append-only segments.
