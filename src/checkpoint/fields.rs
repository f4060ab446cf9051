//! config.json, read field by field: what nobody has asked for in the end is refused.
use super::CheckpointError;
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;

/// Fields that say nothing about what a decoder computes.
const HARMLESS: [&str; 48] = [
    "_attn_implementation",
    "_name_or_path",
    "architectures",
    "attention_dropout",
    "attn_implementation",
    "auto_map",
    "aux_loss_alpha",
    "bos_token_id",
    "chunk_size_feed_forward",
    "cross_attention_hidden_size",
    "decoder_start_token_id",
    "dtype",
    "eos_token_id",
    "ep_size",
    "experts_implementation",
    "finetuning_task",
    "id2label",
    "initializer_range",
    "is_decoder",
    "is_encoder_decoder",
    "is_llama_config",
    "label2id",
    "max_window_layers",
    "model_type",
    "num_nextn_predict_layers",
    "output_attentions",
    "output_hidden_states",
    "output_router_logits",
    "pad_token_id",
    "prefix",
    "pretraining_tp",
    "problem_type",
    "return_dict",
    "router_aux_loss_coef",
    "router_jitter_noise",
    "sep_token_id",
    "seq_aux",
    "task_specific_params",
    "tie_encoder_decoder",
    "tokenizer_class",
    "torch_dtype",
    "torchscript",
    "transformers.js_config",
    "transformers_version",
    "unk_token_id",
    "unsloth_fixed",
    "use_bfloat16",
    "use_cache",
];

/// The fields of one JSON object. Absent and `null` are the same.
pub(super) struct Fields<'a> {
    path: &'a Path,
    /// What stands before a field's name in messages: empty, or `rope_scaling.`.
    prefix: &'static str,
    json: Option<&'a Map<String, Value>>,
    asked: RefCell<BTreeSet<String>>,
}

impl<'a> Fields<'a> {
    /// Those of the config.json at `path`.
    pub fn new(path: &'a Path, json: &'a Value) -> Self {
        Self {
            path,
            prefix: "",
            json: json.as_object(),
            asked: RefCell::default(),
        }
    }

    /// Those of an object within it; none where it is absent.
    pub fn within(&self, name: &str, prefix: &'static str) -> Self {
        Self {
            path: self.path,
            prefix,
            json: self.get(name).and_then(Value::as_object),
            asked: RefCell::default(),
        }
    }

    pub fn is_empty(&self) -> bool {
        self.json.is_none_or(Map::is_empty)
    }

    pub fn get(&self, name: &str) -> Option<&'a Value> {
        self.asked.borrow_mut().insert(name.to_owned());
        self.json?.get(name).filter(|value| !value.is_null())
    }

    pub fn size(&self, name: &str) -> Result<usize, CheckpointError> {
        self.required(name, self.maybe_size(name)?)
    }

    pub fn maybe_size(&self, name: &str) -> Result<Option<usize>, CheckpointError> {
        self.maybe(name, "a number of things", |value| {
            // Some files write 32768.0.
            let whole = value.as_f64().filter(|v| v.fract() == 0.0 && *v >= 0.0);
            whole.map(|v| v as usize)
        })
    }

    pub fn real(&self, name: &str) -> Result<f32, CheckpointError> {
        self.required(name, self.maybe_real(name)?)
    }

    pub fn maybe_real(&self, name: &str) -> Result<Option<f32>, CheckpointError> {
        self.maybe(name, "a number", |value| value.as_f64().map(|v| v as f32))
    }

    /// A flag; `default` where it is absent.
    pub fn flag(&self, name: &str, default: bool) -> Result<bool, CheckpointError> {
        let flag = self.maybe(name, "true or false", Value::as_bool)?;
        Ok(flag.unwrap_or(default))
    }

    pub fn sizes(&self, name: &str) -> Result<Vec<usize>, CheckpointError> {
        let sizes = self.maybe(name, "a list of numbers", |value| {
            let items = value.as_array()?.iter();
            items.map(|item| Some(item.as_u64()? as usize)).collect()
        })?;
        Ok(sizes.unwrap_or_default())
    }

    /// Refuses a field that is there with any other value.
    pub fn only(&self, name: &str, allowed: impl Into<Value>) -> Result<(), CheckpointError> {
        let allowed = allowed.into();
        match self.get(name) {
            Some(value) if *value != allowed => Err(self.unsupported(name, value)),
            _ => Ok(()),
        }
    }

    /// A value that this program does not run.
    pub fn unsupported(&self, name: &str, value: &Value) -> CheckpointError {
        CheckpointError::Unsupported {
            path: self.path.to_owned(),
            what: format!("{}{name}: {value}", self.prefix),
        }
    }

    /// A value that makes no sense.
    pub fn invalid(&self, reason: String) -> CheckpointError {
        CheckpointError::Config {
            path: self.path.to_owned(),
            reason,
        }
    }

    /// Refuses fields that were not asked for, by name: they may change what the model
    /// computes. Switches that are off change nothing.
    pub fn finish(&self) -> Result<(), CheckpointError> {
        let asked = self.asked.borrow();
        let mut unknown = self.json.into_iter().flatten().filter(|(name, value)| {
            let is_off = value.is_null() || **value == Value::Bool(false);
            !is_off && !asked.contains(*name) && !HARMLESS.contains(&name.as_str())
        });
        match unknown.next() {
            Some((name, value)) => Err(self.unsupported(name, value)),
            None => Ok(()),
        }
    }

    fn maybe<T>(
        &self,
        name: &str,
        what: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, CheckpointError> {
        match self.get(name) {
            None => Ok(None),
            Some(value) => match read(value) {
                Some(read) => Ok(Some(read)),
                None => Err(self.invalid(format!(
                    "{}{name} should be {what}, not {value}",
                    self.prefix
                ))),
            },
        }
    }

    fn required<T>(&self, name: &str, value: Option<T>) -> Result<T, CheckpointError> {
        value.ok_or_else(|| self.invalid(format!("missing field `{}{name}`", self.prefix)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn fields_that_nobody_asked_for_are_refused_by_name() {
        let json = json!({"hidden_size": 8, "use_cache": true, "odd": false, "alibi": 3});
        let fields = Fields::new(Path::new("config.json"), &json);
        assert_eq!(fields.size("hidden_size").unwrap(), 8);
        let refusal = fields.finish().unwrap_err().to_string();
        assert!(refusal.contains("alibi: 3"), "{refusal}");
        fields.get("alibi");
        assert!(fields.finish().is_ok());
    }

    #[test]
    fn fields_of_another_kind_and_missing_ones_are_said_by_name() {
        let json = json!({"layers": "many", "theta": 1e6, "context": 4096.0});
        let fields = Fields::new(Path::new("config.json"), &json);
        let message = |result: Result<usize, CheckpointError>| result.unwrap_err().to_string();
        assert!(message(fields.size("layers")).contains("layers should be"));
        assert!(message(fields.size("heads")).contains("missing field `heads`"));
        assert_eq!(fields.size("context").unwrap(), 4096);
        assert!(fields.only("theta", 1e6).is_ok());
        assert!(fields.only("theta", 1e4).is_err());
    }
}
