//! `x Wᵀ + b` over quantised or plain weights.
use crate::checkpoint::Weight;
use candle_core::quantized::QMatMul;
use candle_core::{Module, Result, Tensor};

/// A projection. Weight `[out, in]`, bias `[out]`.
pub(super) struct Linear {
    weight: QMatMul,
    bias: Option<Tensor>,
}

impl Linear {
    pub(super) fn new(weight: Weight, bias: Option<Tensor>) -> Result<Self> {
        let weight = match weight {
            Weight::Quantized(tensor) => QMatMul::from_arc(tensor)?,
            Weight::Plain(tensor) => QMatMul::Tensor(tensor),
        };
        Ok(Self { weight, bias })
    }

    /// `x: [T, in]` to `[T, out]`, f32.
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let y = self.weight.forward(x)?;
        match &self.bias {
            Some(bias) => y.broadcast_add(bias),
            None => Ok(y),
        }
    }

    /// Rows of the weight as an embedding: `ids: [T]` to `[T, in]`.
    pub(super) fn embed(&self, ids: &Tensor) -> Result<Tensor> {
        self.weight.embedding(ids)
    }
}
