//! The state: what entries make of it is the same on all nodes, and never changes its form.

pub mod author;
mod golden;
mod levels;
mod references;
mod replicas;
pub mod stage;
mod tasks;
