//! The integration tests of the cluster crate, as one program.

mod power_loss;
