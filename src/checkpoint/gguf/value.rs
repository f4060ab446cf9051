//! A value of GGUF's metadata.

/// Metadata of any of GGUF's types.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Value {
    U8(u8),
    I8(i8),
    U16(u16),
    I16(i16),
    U32(u32),
    I32(i32),
    U64(u64),
    I64(i64),
    F32(f32),
    F64(f64),
    Bool(bool),
    String(String),
    Array(Vec<Value>),
}

impl Value {
    /// A flag; `None` for anything else.
    pub fn to_bool(&self) -> Option<bool> {
        match self {
            Self::Bool(on) => Some(*on),
            _ => None,
        }
    }

    /// An integer of any width; `None` where it is negative or something else.
    pub fn to_size(&self) -> Option<usize> {
        match *self {
            Self::U8(v) => Some(v.into()),
            Self::U16(v) => Some(v.into()),
            Self::U32(v) => usize::try_from(v).ok(),
            Self::U64(v) => usize::try_from(v).ok(),
            Self::I8(v) => usize::try_from(v).ok(),
            Self::I16(v) => usize::try_from(v).ok(),
            Self::I32(v) => usize::try_from(v).ok(),
            Self::I64(v) => usize::try_from(v).ok(),
            Self::F32(_) | Self::F64(_) | Self::Bool(_) | Self::String(_) | Self::Array(_) => None,
        }
    }
}
