//! A fault of the device or the model as an error of the engine.
use super::api::EngineError;
use crate::ops::is_out_of_memory;
use std::borrow::Borrow;

/// The error that says it; a full device is one of its own.
pub(super) fn broken(error: impl Borrow<candle_core::Error>) -> EngineError {
    let error = error.borrow();
    match is_out_of_memory(error) {
        true => EngineError::DeviceFull(error.to_string()),
        false => EngineError::Model(error.to_string()),
    }
}
