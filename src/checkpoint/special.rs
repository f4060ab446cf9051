//! The tokens that a tokenizer names (`bos_token`, `eos_token`, ...) and adds, from the
//! files beside tokenizer.json, as transformers 5.24 merges them
//! (`PreTrainedTokenizerBase._from_pretrained`).
use super::CheckpointError;
use super::safetensors_dir::SafetensorsDir;
use serde_json::{Map, Value};

/// The tokens that have a name, in the order in which missing ones are added.
const NAMED: [&str; 7] = [
    "bos_token",
    "eos_token",
    "unk_token",
    "sep_token",
    "pad_token",
    "cls_token",
    "mask_token",
];

/// A token that files beside tokenizer.json have.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct SideToken {
    pub text: String,
    pub special: bool,
    /// A flag that would take in text around it, if it sets one.
    pub taking: Option<&'static str>,
}

/// Tokens by the files beside tokenizer.json.
pub(super) struct SpecialTokens {
    /// tokenizer_config.json, with special_tokens_map.json over it where that counts.
    config: Map<String, Value>,
    /// Tokens that are added where tokenizer.json does not have them, in their order.
    pub added: Vec<SideToken>,
}

impl SpecialTokens {
    pub fn of_dir(dir: &SafetensorsDir) -> Result<Self, CheckpointError> {
        let object = |file: &str| -> Result<Map<String, Value>, CheckpointError> {
            match dir.json(file)? {
                None => Ok(Map::new()),
                Some(Value::Object(map)) => Ok(map),
                Some(_) => Err(CheckpointError::Config {
                    path: dir.path().join(file),
                    reason: "it is no JSON object".into(),
                }),
            }
        };
        let mut config = object("tokenizer_config.json")?;
        let mut added = Vec::new();
        if let Some(decoder) = config
            .get("added_tokens_decoder")
            .and_then(Value::as_object)
        {
            let mut by_id: Vec<(u64, &Value)> = decoder
                .iter()
                .filter_map(|(id, token)| Some((id.parse().ok()?, token)))
                .collect();
            by_id.sort_by_key(|(id, _)| *id);
            added.extend(
                by_id
                    .into_iter()
                    .filter_map(|(_, token)| side(token, false)),
            );
        } else {
            // Older files, which count only where the newer list is not there.
            config.extend(object("special_tokens_map.json")?);
            let mut by_id: Vec<(u64, String)> = object("added_tokens.json")?
                .into_iter()
                .filter_map(|(text, id)| Some((id.as_u64()?, text)))
                .collect();
            by_id.sort();
            added.extend(by_id.into_iter().map(|(_, text)| SideToken {
                text,
                special: false,
                taking: None,
            }));
        }
        let named = NAMED
            .iter()
            .filter_map(|name| side(config.get(*name)?, true));
        let named: Vec<SideToken> = named.collect();
        let lists = ["extra_special_tokens", "additional_special_tokens"];
        let extra = lists.iter().find_map(|list| config.get(*list)?.as_array());
        let extra = extra.into_iter().flatten();
        let extra: Vec<SideToken> = extra.filter_map(|token| side(token, true)).collect();
        for token in named.into_iter().chain(extra) {
            match added.iter_mut().find(|known| known.text == token.text) {
                Some(known) => known.special |= token.special,
                None => added.push(token),
            }
        }
        Ok(Self { config, added })
    }

    /// The text of the token of this name; it is written as a string or as an object.
    pub fn text(&self, name: &str) -> Option<&str> {
        text_of(self.config.get(name)?)
    }

    /// The entry of tokenizer_config.json under this name.
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.config.get(name).filter(|value| !value.is_null())
    }
}

fn text_of(token: &Value) -> Option<&str> {
    token.as_str().or(token["content"].as_str())
}

fn side(token: &Value, special: bool) -> Option<SideToken> {
    let taking = ["lstrip", "rstrip", "single_word"];
    Some(SideToken {
        text: text_of(token).filter(|text| !text.is_empty())?.to_owned(),
        special: special || token["special"] == true,
        taking: taking.into_iter().find(|flag| token[*flag] == true),
    })
}
