//! Ways of quantising safetensors: those that are read, and those that are refused by name
//! when the checkpoint is opened, with what to take instead.
use super::CheckpointError;
use serde_json::Value;
use std::path::Path;

/// How a method's bits are kept, by the ends of its tensors' names. Older checkpoints of
/// these methods say in no config.json what they are.
const TENSORS: [(&str, &str); 8] = [
    ("g_idx", "GPTQ (tensors *g_idx)"),
    (
        "weight_zero_point",
        "with zero points (tensors *.weight_zero_point)",
    ),
    (".qweight", "AWQ or GPTQ (tensors *.qweight)"),
    (".weight.quant_map", "bitsandbytes (tensors *.quant_map)"),
    (".weight.absmax", "bitsandbytes (tensors *.absmax)"),
    (".SCB", "bitsandbytes (tensors *.SCB)"),
    ("_blocks", "MXFP4 of fused experts (tensors *_blocks)"),
    (
        ".pre_quant_scale",
        "AWQ of ModelOpt (tensors *.pre_quant_scale)",
    ),
];

/// The end of the names of codes that are whole numbers, where they have been joined with
/// nothing that says what they are worth.
const PACKED: (&str, &str) = (
    ".weight_packed",
    "compressed-tensors (tensors *.weight_packed)",
);

/// Where config.json says how a checkpoint is quantised.
pub(super) const KEYS: [&str; 2] = ["quantization_config", "compression_config"];

/// Refuses a checkpoint of a method that is not read, by what its config.json says. Gives
/// the rows and columns that share a scale of FP8, where they are said.
pub(super) fn check_config(
    path: &Path,
    config: &Value,
) -> Result<Option<[usize; 2]>, CheckpointError> {
    let Some(key) = KEYS.into_iter().find(|key| config[key].is_object()) else {
        return Ok(None);
    };
    let quantised = &config[key];
    let refused = |how: String| {
        Err(CheckpointError::Quantised {
            path: path.to_owned(),
            how,
        })
    };
    let method = &quantised["quant_method"];
    // A key without a method is for the configuration's reader.
    let Some(name) = method.as_str() else {
        return Ok(None);
    };
    if !is_read(name, quantised) {
        return refused(format!(
            "{key}.quant_method: {method}{}",
            details(quantised)
        ));
    }
    // A rotation of what goes in, and weights that are left out, are computed with.
    for (part, is_none) in [
        (
            "transform_config",
            quantised["transform_config"]["config_groups"]
                .as_object()
                .is_none_or(|groups| groups.is_empty()),
        ),
        (
            "sparsity_config",
            matches!(
                quantised["sparsity_config"]["format"].as_str(),
                None | Some("dense")
            ),
        ),
    ] {
        if !is_none {
            return refused(format!("{key}.{part}: {}", quantised[part]));
        }
    }
    let groups = quantised["config_groups"].as_object().into_iter().flatten();
    let of_groups = groups.map(|(_, group)| &group["weights"]["block_structure"]);
    let sizes = std::iter::once(&quantised["weight_block_size"]).chain(of_groups);
    match sizes.into_iter().find(|sizes| !sizes.is_null()) {
        None => Ok(None),
        Some(sizes) => match block(sizes) {
            Some(block) => Ok(Some(block)),
            None => refused(format!(
                "{key}.quant_method: {method} with blocks of {sizes}, which are no rows and columns"
            )),
        },
    }
}

/// ModelOpt's names of numbers that are read; a tensor's name and type tell how it is
/// written.
const MODELOPT: [&str; 6] = [
    "FP8",
    "FP8_PB_WO",
    "FP8_PER_CHANNEL_PER_TOKEN",
    "NVFP4",
    "W4A16_NVFP4",
    "MIXED_PRECISION",
];

/// The same of compressed-tensors.
const COMPRESSED_TENSORS: [&str; 5] = [
    "float-quantized",
    "naive-quantized",
    "nvfp4-pack-quantized",
    "mxfp4-pack-quantized",
    "mixed-precision",
];

/// True for the methods whose tensors are read.
fn is_read(method: &str, quantised: &Value) -> bool {
    let said = |key: &str| quantised[key].as_str();
    match method {
        "fp8" => matches!(said("fmt"), None | Some("e4m3")),
        // Written in capitals and in small letters.
        "modelopt" => said("quant_algo").is_some_and(|algorithm| {
            MODELOPT
                .iter()
                .any(|known| known.eq_ignore_ascii_case(algorithm))
        }),
        "compressed-tensors" => {
            said("format").is_some_and(|format| COMPRESSED_TENSORS.contains(&format))
        }
        _ => false,
    }
}

/// Refuses a checkpoint of a method that is not read, by the names of its tensors.
pub(super) fn check_names<'a>(
    path: &Path,
    tensors: impl Iterator<Item = &'a str>,
) -> Result<(), CheckpointError> {
    refuse(path, tensors, &TENSORS)
}

/// The same of those that [`encoded::join`](super::encoded::join) has left.
pub(super) fn check_left<'a>(
    path: &Path,
    tensors: impl Iterator<Item = &'a str>,
) -> Result<(), CheckpointError> {
    refuse(path, tensors, &[PACKED])
}

fn refuse<'a>(
    path: &Path,
    tensors: impl Iterator<Item = &'a str>,
    methods: &[(&str, &str)],
) -> Result<(), CheckpointError> {
    let found = |name: &str| methods.iter().position(|(end, _)| name.ends_with(end));
    match tensors.filter_map(found).min() {
        Some(method) => Err(CheckpointError::Quantised {
            path: path.to_owned(),
            how: methods[method].1.to_owned(),
        }),
        None => Ok(()),
    }
}

/// Rows and columns of a block: `[128, 128]`.
fn block(sizes: &Value) -> Option<[usize; 2]> {
    let sizes = sizes.as_array()?.iter();
    let sizes: Option<Vec<usize>> = sizes
        .map(|size| size.as_u64().filter(|&n| n > 0).map(|n| n as usize))
        .collect();
    sizes?.try_into().ok()
}

/// Bits and groups, where they are said: ` (4 bits, groups of 128)`.
fn details(quantised: &Value) -> String {
    // AWQ's own tools write the names that come second.
    let number = |names: [&str; 2]| names.iter().find_map(|name| quantised[name].as_u64());
    let bits = number(["bits", "w_bit"]).map(|bits| format!("{bits} bits"));
    let group = number(["group_size", "q_group_size"]).map(|size| format!("groups of {size}"));
    let format = ["format", "fmt"]
        .iter()
        .find_map(|key| quantised[key].as_str());
    let format = format.map(str::to_owned);
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
