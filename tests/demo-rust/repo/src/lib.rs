//! The price board of a market stall.
pub mod board;
pub mod goods;
pub mod money;
pub mod season;
pub mod text;
