//! One name for each tensor, whatever file it lies in.
//!
//! The canonical names are GGUF's: `token_embd.weight`, `output_norm.weight`,
//! `output.weight`, and in layer `i` `blk.i.PART.weight` with PART one of
//! `attn_norm`, `attn_q`, `attn_k`, `attn_v`, `attn_output`, `ffn_norm`,
//! `ffn_gate`, `ffn_up`, `ffn_down`; biases are `blk.i.attn_{q,k,v}.bias`.
//! Weights are `[out, in]`, as in both kinds of file. Qwen2's q and k rows are
//! in the same order in both (unlike Llama's, which GGUF permutes).
use super::ModelConfig;

/// GGUF's part of a layer beside that of the safetensors published for the
/// `transformers` package.
const PARTS: [(&str, &str); 11] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("attn_output", "self_attn.o_proj"),
    ("ffn_norm", "post_attention_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
];

/// The safetensors name of a canonical one; `None` for a name that is not canonical.
pub(super) fn safetensors_name(canonical: &str) -> Option<String> {
    match canonical {
        "token_embd.weight" => return Some("model.embed_tokens.weight".into()),
        "output_norm.weight" => return Some("model.norm.weight".into()),
        "output.weight" => return Some("lm_head.weight".into()),
        _ => {}
    }
    let (layer, rest) = canonical.strip_prefix("blk.")?.split_once('.')?;
    let (part, kind) = rest.split_once('.')?;
    let (_, theirs) = PARTS.iter().find(|(ours, _)| *ours == part)?;
    Some(format!("model.layers.{layer}.{theirs}.{kind}"))
}

/// Every tensor that a checkpoint of this configuration holds, with its shape.
pub(super) fn expected_shapes(config: &ModelConfig) -> Vec<(String, Vec<usize>)> {
    let c = config;
    let (q, kv) = (c.n_heads * c.head_dim, c.n_kv_heads * c.head_dim);
    let mut shapes = vec![
        ("token_embd.weight".to_owned(), vec![c.vocab, c.hidden]),
        ("output_norm.weight".to_owned(), vec![c.hidden]),
    ];
    if !c.tied_embeddings {
        shapes.push(("output.weight".to_owned(), vec![c.vocab, c.hidden]));
    }
    for layer in 0..c.n_layers {
        let mut push = |name: &str, shape: &[usize]| {
            shapes.push((format!("blk.{layer}.{name}"), shape.to_vec()));
        };
        push("attn_norm.weight", &[c.hidden]);
        push("ffn_norm.weight", &[c.hidden]);
        push("attn_q.weight", &[q, c.hidden]);
        push("attn_k.weight", &[kv, c.hidden]);
        push("attn_v.weight", &[kv, c.hidden]);
        if c.qkv_bias {
            push("attn_q.bias", &[q]);
            push("attn_k.bias", &[kv]);
            push("attn_v.bias", &[kv]);
        }
        if c.head_norms {
            push("attn_q_norm.weight", &[c.head_dim]);
            push("attn_k_norm.weight", &[c.head_dim]);
        }
        push("attn_output.weight", &[c.hidden, q]);
        push("ffn_gate.weight", &[c.ffn, c.hidden]);
        push("ffn_up.weight", &[c.ffn, c.hidden]);
        push("ffn_down.weight", &[c.hidden, c.ffn]);
    }
    shapes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_expected_tensor_has_one_safetensors_name() {
        let shapes = expected_shapes(&super::super::config::tiny());
        let theirs: std::collections::HashSet<_> = shapes
            .iter()
            .map(|(name, _)| safetensors_name(name).expect(name))
            .collect();
        assert_eq!(theirs.len(), shapes.len());
        assert!(theirs.contains("model.layers.0.self_attn.q_proj.bias"));
        assert!(theirs.contains("model.layers.0.post_attention_layernorm.weight"));
        assert_eq!(safetensors_name("blk.0.rope.weight"), None);
        assert_eq!(safetensors_name("blk.0"), None);
    }
}
