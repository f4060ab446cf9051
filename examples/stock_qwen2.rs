//! The naive way, as a peer for benches: candle-transformers' stock quantised
//! Qwen2, which has one cache and no fork, so each branch prefills the prompt anew.
//!
//! `stock_qwen2 MODEL.gguf TRUNK_TOKENS BRANCHES TOKENS`: prints one JSON object with
//! the tokens a second of a prefill, of a decode, and of all branches from empty.
use anyhow::{Context, bail};
use candle_core::quantized::gguf_file;
use candle_core::{Device, Tensor};
use candle_transformers::models::quantized_qwen2::ModelWeights;
use std::fs::File;
use std::time::Instant;

fn main() -> anyhow::Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [path, trunk, branches, tokens] = args.as_slice() else {
        bail!("usage: stock_qwen2 MODEL.gguf TRUNK_TOKENS BRANCHES TOKENS");
    };
    let number = |text: &str| text.parse::<usize>().context("not a whole number");
    let (trunk, branches, tokens) = (number(trunk)?, number(branches)?, number(tokens)?);
    let mut file = File::open(path)?;
    let content = gguf_file::Content::read(&mut file)?;
    let mut model = ModelWeights::from_gguf(content, &mut file, &Device::Cpu)?;
    let prompt: Vec<u32> = (0..trunk as u32).map(|i| 1000 + i * 7 % 5000).collect();

    // Products lay their weights out anew when they are first used.
    step(&mut model, &prompt[..prompt.len().min(64)], 0)?;
    let (mut prefill_s, mut decode_s) = (0.0, 0.0);
    for _ in 0..branches {
        let started = Instant::now();
        let mut token = step(&mut model, &prompt, 0)?;
        prefill_s += started.elapsed().as_secs_f64();
        let started = Instant::now();
        for at in 0..tokens - 1 {
            token = step(&mut model, &[token], trunk + at)?;
        }
        decode_s += started.elapsed().as_secs_f64();
    }
    println!(
        "{}",
        serde_json::json!({
            "prefill_tok_s": (branches * trunk) as f64 / prefill_s,
            "decode_tok_s": (branches * (tokens - 1)) as f64 / decode_s,
            "from_empty_tok_s": (branches * tokens) as f64 / (prefill_s + decode_s),
        })
    );
    Ok(())
}

/// Runs tokens at a position (0 empties the cache); the likeliest next token.
fn step(model: &mut ModelWeights, tokens: &[u32], at: usize) -> anyhow::Result<u32> {
    let input = Tensor::new(tokens, &Device::Cpu)?.unsqueeze(0)?;
    let logits = model.forward(&input, at)?.squeeze(0)?;
    Ok(logits.argmax(candle_core::D::Minus1)?.to_scalar::<u32>()?)
}
