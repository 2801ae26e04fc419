//! Several nodes as one service: real processes on loopback, real faults.

mod backup;
mod bootstrap;
mod certificates;
mod disk;
pub mod faults;
pub mod fleet;
mod forwarding;
mod history;
mod inspection;
mod linear;
mod load;
mod operations;
mod recover;
mod tags;
mod traces;
pub mod wire;
