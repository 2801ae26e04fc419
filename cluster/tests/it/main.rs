//! The integration tests of the cluster crate, as one program.

mod draws;
mod power_loss;
mod state;
mod suite;
