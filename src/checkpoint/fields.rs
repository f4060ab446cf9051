//! config.json, read field by field: what nobody has asked for in the end is refused.
use super::CheckpointError;
use serde_json::{Map, Value};
use std::cell::RefCell;
use std::collections::BTreeSet;
use std::path::Path;
use std::rc::Rc;

/// Fields that say nothing about what a decoder computes, and that nothing is said of:
/// every second checkpoint has some of them.
const HARMLESS: [&str; 58] = [
    "_attn_implementation",
    "_attn_implementation_autoset",
    "_commit_hash",
    "_flash_attn_2_enabled",
    "_name_or_path",
    "architectures",
    "attn_implementation",
    "auto_map",
    "chunk_size_feed_forward",
    "cross_attention_hidden_size",
    "dtype",
    "ep_size",
    "experts_implementation",
    "finetuning_task",
    "gradient_checkpointing",
    "id2label",
    "is_decoder",
    "is_encoder_decoder",
    "is_llama_config",
    "label2id",
    "max_window_layers",
    "model_max_length",
    "model_type",
    "num_labels",
    "num_mtp_layers",
    "num_nextn_predict_layers",
    "output_attentions",
    "output_hidden_states",
    "output_router_logits",
    "prefix",
    "pretraining_tp",
    "problem_type",
    "pruned_heads",
    "return_dict",
    "router_jitter_noise",
    "seq_aux",
    "task_specific_params",
    "tf_legacy_loss",
    "tie_encoder_decoder",
    "tokenizer_class",
    "torch_dtype",
    "torchscript",
    "transformers.js_config",
    // Names the file of weights: `folder` reads it.
    "transformers_weights",
    "unsloth_fixed",
    "unsloth_version",
    "use_bfloat16",
    "use_cache",
    "use_flash_attention_2",
    "use_flash_attn",
    // Of a text's generation; transformers 5 drops them from config.json too.
    "do_sample",
    "max_length",
    "max_new_tokens",
    "repetition_penalty",
    "suppress_tokens",
    "temperature",
    "top_k",
    "top_p",
];

/// Parts of names of fields that matter in training only, or name tokens.
const HARMLESS_PARTS: [&str; 5] = ["dropout", "initializer", "_loss", "_token_id", "_version"];

/// Words of names that speak of a computation: a decoder's parts, their sizes, and
/// operations on them. `model_type` names the code that a checkpoint is run by, and no
/// field beside those that the code reads changes it; but a model with code of its own
/// may keep its makers' `model_type`, and then such a field is all that tells. So a
/// field with one of these words is refused unless a family asks for it; one without is
/// a trainer's or a tool's remark, and is passed over with a note.
const COMPUTING_WORDS: [&str; 105] = [
    "act",
    "activation",
    "alibi",
    "alpha",
    "attention",
    "attn",
    "beta",
    "bias",
    "block",
    "blocks",
    "cap",
    "capping",
    "causal",
    "chunk",
    "clip",
    "compress",
    "compression",
    "configuration",
    "conv",
    "depth",
    "dim",
    "dims",
    "embd",
    "embed",
    "embedding",
    "embeddings",
    "eps",
    "epsilon",
    "expert",
    "experts",
    "factor",
    "ffn",
    "freq",
    "freqs",
    "gate",
    "gating",
    "glu",
    "group",
    "groups",
    "head",
    "heads",
    "hidden",
    "indexer",
    "interleave",
    "intermediate",
    "kernel",
    "kv",
    "latent",
    "layer",
    "layernorm",
    "layers",
    "ln",
    "logit",
    "logits",
    "loop",
    "loops",
    "lora",
    "mamba",
    "mask",
    "mla",
    "mlp",
    "moe",
    "mrope",
    "mscale",
    "mtp",
    "multiplier",
    "mup",
    "nope",
    "norm",
    "normalize",
    "norms",
    "ntk",
    "position",
    "positions",
    "qk",
    "qkv",
    "quant",
    "quantization",
    "query",
    "rank",
    "recurrent",
    "relative",
    "residual",
    "rms",
    "rope",
    "rotary",
    "router",
    "scalar",
    "scale",
    "scaling",
    "sink",
    "sinks",
    "sliding",
    "softcap",
    "softcapping",
    "softmax",
    "sparse",
    "ssm",
    "swa",
    "theta",
    "tie",
    "tied",
    "width",
    "window",
    "yarn",
];

/// True for a name that may change what a model computes, as far as a name can tell.
pub(super) fn speaks_of_computing(name: &str) -> bool {
    let mut words = name.split(|c: char| !c.is_ascii_alphanumeric());
    words.any(|word| COMPUTING_WORDS.contains(&word.to_ascii_lowercase().as_str()))
}

fn is_harmless(name: &str) -> bool {
    HARMLESS.contains(&name) || HARMLESS_PARTS.iter().any(|part| name.contains(part))
}

/// The fields of one JSON object. Absent and `null` are the same.
pub(super) struct Fields<'a> {
    path: &'a Path,
    /// What stands before a field's name in messages: empty, or `rope_scaling.`.
    prefix: &'static str,
    json: Option<&'a Map<String, Value>>,
    asked: RefCell<BTreeSet<String>>,
    /// Sentences on fields that were passed over; those of objects within go to one list.
    notes: Rc<RefCell<Vec<String>>>,
}

impl<'a> Fields<'a> {
    /// Those of the config.json at `path`.
    pub fn new(path: &'a Path, json: &'a Value) -> Self {
        Self {
            path,
            prefix: "",
            json: json.as_object(),
            asked: RefCell::default(),
            notes: Rc::default(),
        }
    }

    /// Those of an object within it; none where it is absent.
    ///
    /// Errors: `Config` where it is anything but an object.
    pub fn within(&self, name: &str, prefix: &'static str) -> Result<Self, CheckpointError> {
        Ok(Self {
            path: self.path,
            prefix,
            json: self.maybe(name, "an object", Value::as_object)?,
            asked: RefCell::default(),
            notes: self.notes.clone(),
        })
    }

    /// Keeps a sentence on what is not taken of the file, once.
    pub fn note(&self, sentence: String) {
        let mut notes = self.notes.borrow_mut();
        if !notes.contains(&sentence) {
            notes.push(sentence);
        }
    }

    /// Sentences on what is not taken.
    pub fn notes(&self) -> Vec<String> {
        self.notes.borrow().clone()
    }

    /// True where the field is there and `null`.
    pub fn is_null(&self, name: &str) -> bool {
        let value = self.json.and_then(|json| json.get(name));
        value.is_some_and(Value::is_null)
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

    /// Refuses fields that were not asked for and speak of a computation, by name, and
    /// notes the others that are not known to be harmless. Switches that are off change
    /// nothing.
    pub fn finish(&self) -> Result<(), CheckpointError> {
        for (name, value) in self.unasked() {
            if is_harmless(name) {
                continue;
            } else if speaks_of_computing(name) {
                return Err(self.unsupported(name, value));
            }
            self.note_unasked(name);
        }
        Ok(())
    }

    /// Notes fields that were not asked for. One that is an object may hold what was
    /// looked for here, and is refused by name.
    pub fn note_others(&self) -> Result<(), CheckpointError> {
        for (name, value) in self.unasked() {
            if value.is_object() {
                return Err(self.unsupported(name, value));
            }
            self.note_unasked(name);
        }
        Ok(())
    }

    fn unasked(&self) -> Vec<(&'a str, &'a Value)> {
        let asked = self.asked.borrow();
        let all = self.json.into_iter().flatten();
        let unasked = all.filter(|(name, value)| {
            let is_off = value.is_null() || **value == Value::Bool(false);
            !is_off && !asked.contains(*name)
        });
        unasked
            .map(|(name, value)| (name.as_str(), value))
            .collect()
    }

    fn note_unasked(&self, name: &str) {
        let file = self.path.file_name().unwrap_or_default().display();
        self.note(format!(
            "{file}: the field {}{name} is not known and not taken",
            self.prefix
        ));
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

    /// unsloth#8126: a trainer's remarks were refused as if they were the model's.
    #[test]
    fn fields_of_trainers_and_tools_change_nothing() {
        let json = json!({
            "unsloth_version": "2026.8.1", "model_max_length": 32768, "temperature": 0.7,
            "hidden_dropout_prob": 0.1, "image_token_id": 7, "trl_version": "1.2",
            "mergekit_recipe": "slerp", "base_model": "other", "tensor_parallel_size": 2,
        });
        let fields = Fields::new(Path::new("config.json"), &json);
        fields.finish().unwrap();
        assert_eq!(
            fields.notes(),
            [
                "config.json: the field mergekit_recipe is not known and not taken",
                "config.json: the field base_model is not known and not taken",
                "config.json: the field tensor_parallel_size is not known and not taken"
            ]
        );
        for name in [
            "attn_logit_softcapping",
            "residual_multiplier",
            "no_rope_layers",
            "query_pre_attn_scalar",
            "clip_qkv",
            "per_layer_config",
            "use_qk_norm",
            "configuration_files",
        ] {
            assert!(speaks_of_computing(name), "{name}");
        }
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
