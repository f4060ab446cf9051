//! The engine held to its contracts: against other implementations, under
//! random use, and on a real model.
mod common;
mod contract;
mod drafts;
mod encoded;
mod experts;
mod judge;
mod lanes;
mod llama_cpp;
mod parity;
mod prefix;
mod property;
mod real_model;
mod width;
