//! Snapshots and the sandbox with the real git, bwrap and Python.
mod deadline;
mod environment;
mod large;
mod layers;
mod sandbox;
mod shadow;
mod stored;
mod unconfined;
