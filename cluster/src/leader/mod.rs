//! What only the leader does, one file for each duty.
