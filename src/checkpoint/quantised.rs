//! Ways of quantising safetensors that this program does not read: said by name when the
//! checkpoint is opened, with what to take instead.
use super::CheckpointError;
use serde_json::Value;
use std::path::Path;

/// How a method's bits are kept, by the ends of its tensors' names. Older checkpoints of
/// these methods say in no config.json what they are.
const TENSORS: [(&str, &str); 8] = [
    (".g_idx", "GPTQ (tensors *.g_idx)"),
    (".qweight", "AWQ or GPTQ (tensors *.qweight)"),
    (".weight.quant_map", "bitsandbytes (tensors *.quant_map)"),
    (".weight.absmax", "bitsandbytes (tensors *.absmax)"),
    (".SCB", "bitsandbytes (tensors *.SCB)"),
    ("_blocks", "MXFP4 (tensors *_blocks)"),
    (
        ".weight_packed",
        "compressed-tensors (tensors *.weight_packed)",
    ),
    (".weight_scale_2", "NVFP4 (tensors *.weight_scale_2)"),
];

/// The one method that is read: E4M3 with a scale for each block of rows and columns.
const READ: &str = "fp8";

/// Refuses a checkpoint of a method that is not read, by what its config.json says or by
/// its tensors' names.
pub(super) fn check<'a>(
    path: &Path,
    config: &Value,
    tensors: impl Iterator<Item = &'a str>,
) -> Result<(), CheckpointError> {
    let refused = |how: String| CheckpointError::Quantised {
        path: path.to_owned(),
        how,
    };
    let said = ["quantization_config", "compression_config"]
        .into_iter()
        .find(|key| config[key].is_object());
    if let Some(key) = said {
        let quantised = &config[key];
        let method = &quantised["quant_method"];
        if method == READ && !has_blocks(quantised) {
            return Err(refused(format!(
                "{key}.quant_method: \"fp8\" with weight_block_size: {}, so with no scale for each block",
                quantised["weight_block_size"]
            )));
        }
        // A key without a method is for the configuration's reader.
        if method != READ && !method.is_null() {
            return Err(refused(format!(
                "{key}.quant_method: {method}{}",
                details(quantised)
            )));
        }
    }
    let found = |name: &str| TENSORS.iter().position(|(end, _)| name.ends_with(end));
    match tensors.filter_map(found).min() {
        Some(method) => Err(refused(TENSORS[method].1.to_owned())),
        None => Ok(()),
    }
}

/// True where scales are of blocks of whole rows and columns.
fn has_blocks(quantised: &Value) -> bool {
    let sizes = quantised["weight_block_size"].as_array();
    sizes.is_some_and(|sizes| {
        sizes.len() == 2
            && sizes
                .iter()
                .all(|size| size.as_u64().is_some_and(|n| n > 0))
    })
}

/// Bits and groups, where they are said: ` (4 bits, groups of 128)`.
fn details(quantised: &Value) -> String {
    // AWQ's own tools write the names that come second.
    let number = |names: [&str; 2]| names.iter().find_map(|name| quantised[name].as_u64());
    let bits = number(["bits", "w_bit"]).map(|bits| format!("{bits} bits"));
    let group = number(["group_size", "q_group_size"]).map(|size| format!("groups of {size}"));
    let format = quantised["format"].as_str().map(str::to_owned);
    let algorithm = quantised["quant_algo"].as_str().map(str::to_owned);
    let said: Vec<String> = [format, algorithm, bits, group]
        .into_iter()
        .flatten()
        .collect();
    match said.is_empty() {
        true => String::new(),
        false => format!(" ({})", said.join(", ")),
    }
}
