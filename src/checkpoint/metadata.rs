//! What a GGUF file's metadata says of its architecture, read key by key: what nobody has
//! asked for in the end is refused.
use super::CheckpointError;
use super::fields::speaks_of_computing;
use super::gguf::{GgufFile, Value};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// Keys that say nothing about what a decoder computes.
const HARMLESS: [&str; 3] = ["rope.scaling.finetuned", "tensor_data_layout", "vocab_size"];

/// The keys under the architecture's own name, which is left out of them here.
pub(super) struct Metadata<'a> {
    gguf: &'a GgufFile,
    architecture: &'a str,
    asked: RefCell<BTreeSet<String>>,
}

impl<'a> Metadata<'a> {
    pub fn of(gguf: &'a GgufFile) -> Result<Self, CheckpointError> {
        let key = "general.architecture";
        let Some(architecture) = gguf.str(key) else {
            return Err(no_key(gguf, key));
        };
        Ok(Self {
            gguf,
            architecture,
            asked: RefCell::default(),
        })
    }

    pub fn architecture(&self) -> &'a str {
        self.architecture
    }

    /// The file itself: some things only its tensors tell.
    pub fn gguf(&self) -> &'a GgufFile {
        self.gguf
    }

    pub fn size(&self, key: &str) -> Result<usize, CheckpointError> {
        self.required(key, self.maybe_size(key)?)
    }

    pub fn maybe_size(&self, key: &str) -> Result<Option<usize>, CheckpointError> {
        self.maybe(key, "a number of things", |_| {
            self.gguf.size(&self.full(key))
        })
    }

    pub fn real(&self, key: &str) -> Result<f32, CheckpointError> {
        self.required(key, self.maybe_real(key)?)
    }

    pub fn maybe_real(&self, key: &str) -> Result<Option<f32>, CheckpointError> {
        self.maybe(key, "a number", |value| match value {
            Value::F32(v) => Some(*v),
            Value::F64(v) => Some(*v as f32),
            _ => None,
        })
    }

    pub fn maybe_str(&self, key: &str) -> Result<Option<&'a str>, CheckpointError> {
        self.maybe(key, "a word", |value| match value {
            Value::String(text) => Some(text.as_str()),
            _ => None,
        })
    }

    /// A flag; false where it is absent.
    pub fn flag(&self, key: &str) -> Result<bool, CheckpointError> {
        let flag = self.maybe(key, "true or false", |value| value.to_bool())?;
        Ok(flag.unwrap_or(false))
    }

    /// Refuses a number that is there with any other value.
    pub fn only_real(&self, key: &str, allowed: f32) -> Result<(), CheckpointError> {
        match self.maybe_real(key)? {
            Some(value) if value != allowed => Err(self.unsupported(key)),
            _ => Ok(()),
        }
    }

    /// The value of `key` is one that this program does not run.
    pub fn unsupported(&self, key: &str) -> CheckpointError {
        let key = self.full(key);
        let value = self.gguf.value(&key).map_or("nothing".into(), shown);
        CheckpointError::Unsupported {
            path: self.gguf.path().to_owned(),
            what: format!("{key}: {value}"),
        }
    }

    /// There is no `key`, and nothing else says what it would.
    pub fn missing(&self, key: &str) -> CheckpointError {
        no_key(self.gguf, &self.full(key))
    }

    /// Refuses keys that were not asked for and speak of a computation, by name, and gives
    /// a sentence on each of the others. What is off or zero changes nothing.
    pub fn finish(&self) -> Result<Vec<String>, CheckpointError> {
        let asked = self.asked.borrow();
        let own = self.gguf.keys().filter_map(|key| {
            let key = key.strip_prefix(self.architecture)?;
            key.strip_prefix('.')
        });
        let unknown = own.filter(|key| {
            let is_off = self.gguf.value(&self.full(key)).is_some_and(is_off);
            !is_off && !asked.contains(*key) && !HARMLESS.contains(key)
        });
        // By name, so that the same file is refused for the same key each time.
        let unknown: BTreeSet<&str> = unknown.collect();
        if let Some(key) = unknown.iter().find(|key| speaks_of_computing(key)) {
            return Err(self.unsupported(key));
        }
        let sentence =
            |key: &&str| format!("the key {} is not known and not taken", self.full(key));
        Ok(unknown.iter().map(sentence).collect())
    }

    fn full(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture)
    }

    fn maybe<T>(
        &self,
        key: &str,
        what: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, CheckpointError> {
        self.asked.borrow_mut().insert(key.to_owned());
        let Some(value) = self.gguf.value(&self.full(key)) else {
            return Ok(None);
        };
        match read(value) {
            Some(read) => Ok(Some(read)),
            None => Err(CheckpointError::Config {
                path: self.gguf.path().to_owned(),
                reason: format!("{} should be {what}, not {}", self.full(key), shown(value)),
            }),
        }
    }

    fn required<T>(&self, key: &str, value: Option<T>) -> Result<T, CheckpointError> {
        value.ok_or_else(|| self.missing(key))
    }
}

fn no_key(gguf: &GgufFile, key: &str) -> CheckpointError {
    CheckpointError::Config {
        path: gguf.path().to_owned(),
        reason: format!("the metadata has no usable {key:?}"),
    }
}

fn is_off(value: &Value) -> bool {
    match value {
        Value::Bool(on) => !on,
        Value::F32(v) => *v == 0.0,
        Value::F64(v) => *v == 0.0,
        other => super::gguf::size_of(other) == Some(0),
    }
}

/// A value as a message shows it.
fn shown(value: &Value) -> String {
    match value {
        Value::String(text) => format!("{text:?}"),
        Value::Bool(v) => v.to_string(),
        Value::F32(v) => v.to_string(),
        Value::F64(v) => v.to_string(),
        Value::I8(v) => v.to_string(),
        Value::I16(v) => v.to_string(),
        Value::I32(v) => v.to_string(),
        Value::I64(v) => v.to_string(),
        Value::Array(values) => format!("a list of {}", values.len()),
        other => super::gguf::size_of(other).map_or("?".into(), |v| v.to_string()),
    }
}
