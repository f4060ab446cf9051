//! Every tensor that a decoder takes, by one name whatever file it lies in, and where
//! that is: a file may have several of them in one, or their rows in another order.
//!
//! The names are GGUF's: `token_embd.weight`, `output_norm.weight`, `output.weight`,
//! and in layer `i` `blk.i.PART.weight`. Expert `e` of a layer has parts of its own:
//! `ffn_gate.e`. Matrices are `[out, in]`, as in both kinds of file.
use super::ModelConfig;
use super::config::{ExpertsConfig, LatentConfig};
use egss_kernels::{MappedBytes, WeightBytes};
use std::ops::Range;

/// The two kinds of file.
#[derive(Clone, Copy)]
pub(super) enum Layout<'a> {
    /// With what says whether the file has a tensor: a few have other names, or other
    /// forms by age.
    Gguf(&'a dyn Fn(&str) -> bool),
    Safetensors,
}

/// One tensor that a decoder takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Wanted {
    pub name: String,
    /// `[out, in]`, or `[n]` of a vector.
    pub shape: Vec<usize>,
    pub place: Place,
}

/// Matrices that go into no product of rows.
const NO_PRODUCT: [&str; 3] = ["attn_k_b.weight", "attn_v_b.weight", "ffn_gate_inp.weight"];

impl Wanted {
    /// Which of its layer's experts it belongs to: 17 of `blk.3.ffn_up.17.weight`.
    pub fn expert(&self) -> Option<usize> {
        let mut parts = self.name.strip_prefix("blk.")?.split('.').skip(2);
        parts.next()?.parse().ok()
    }

    /// True for a matrix of a product, or of rows to look up: what else there is a decoder
    /// takes as f32.
    pub fn is_product(&self) -> bool {
        self.shape.len() == 2 && !NO_PRODUCT.iter().any(|part| self.name.ends_with(part))
    }
}

/// Where a tensor lies in a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// The file's name of the tensor that holds it.
    pub tensor: String,
    /// That tensor's shape there.
    pub shape: Vec<usize>,
    /// Its rows that are wanted, in this order; `None`: all, as they are.
    pub rows: Option<Vec<Range<usize>>>,
    /// True where it holds several matrices, each on its side.
    pub transposed: bool,
}

impl Place {
    /// A tensor of this shape as it is.
    pub fn whole(tensor: String, shape: &[usize]) -> Self {
        Self {
            tensor,
            shape: shape.to_vec(),
            rows: None,
            transposed: false,
        }
    }

    /// Rows that the file's tensor has, all its dimensions but the last taken together;
    /// all numbers of a vector.
    pub fn n_rows(&self) -> usize {
        match self.shape.as_slice() {
            [n] => *n,
            shape => shape[..shape.len() - 1].iter().product(),
        }
    }

    /// The wanted rows, in their order.
    pub fn ranges(&self) -> Vec<Range<usize>> {
        match &self.rows {
            Some(rows) => rows.clone(),
            None => std::iter::once(0..self.n_rows()).collect(),
        }
    }

    /// The wanted rows' bytes, one behind the other, of the bytes of the whole tensor:
    /// where the file has them if they are one piece there.
    pub fn read(&self, tensor: &MappedBytes) -> WeightBytes {
        tensor.gather(&self.runs(tensor.len() / self.n_rows().max(1)))
    }

    /// True where the wanted rows are one piece of the file.
    pub fn is_one_piece(&self) -> bool {
        self.runs(1).len() == 1
    }

    /// The wanted rows as ranges of the tensor's bytes, neighbours joined.
    fn runs(&self, row_bytes: usize) -> Vec<Range<usize>> {
        let mut runs: Vec<Range<usize>> = Vec::new();
        for rows in self.ranges() {
            let run = rows.start * row_bytes..rows.end * row_bytes;
            match runs.last_mut() {
                Some(last) if last.end == run.start => last.end = run.end,
                _ => runs.push(run),
            }
        }
        runs
    }
}

/// GGUF's part of a layer beside that of the safetensors published for the
/// `transformers` package.
const PARTS: [(&str, &str); 25] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("attn_q_a", "self_attn.q_a_proj"),
    ("attn_q_a_norm", "self_attn.q_a_layernorm"),
    ("attn_q_b", "self_attn.q_b_proj"),
    ("attn_kv_a_mqa", "self_attn.kv_a_proj_with_mqa"),
    ("attn_kv_a_norm", "self_attn.kv_a_layernorm"),
    ("attn_kv_b", "self_attn.kv_b_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("post_attention_norm", "post_self_attn_layernorm"),
    ("ffn_norm", "post_attention_layernorm"),
    ("post_ffw_norm", "post_mlp_layernorm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_gate_up", "mlp.gate_up_proj"),
    ("ffn_down", "mlp.down_proj"),
    ("ffn_gate_inp", "mlp.gate"),
    ("exp_probs_b", "mlp.gate.e_score_correction_bias"),
    ("ffn_gate_shexp", "mlp.shared_experts.gate_proj"),
    ("ffn_up_shexp", "mlp.shared_experts.up_proj"),
    ("ffn_down_shexp", "mlp.shared_experts.down_proj"),
];

/// Every tensor of a checkpoint of this configuration.
pub(super) fn wanted(config: &ModelConfig, layout: Layout<'_>) -> Vec<Wanted> {
    let c = config;
    let mut all = List {
        layout,
        wanted: Vec::new(),
    };
    all.whole("token_embd.weight", &[c.vocab, c.hidden]);
    all.whole("output_norm.weight", &[c.hidden]);
    if !c.tied_embeddings {
        all.whole("output.weight", &[c.vocab, c.hidden]);
    }
    for index in 0..c.n_layers {
        let mut layer = Layer {
            index,
            config,
            all: &mut all,
        };
        layer.norms();
        match &c.latent {
            None => layer.attention(),
            Some(latent) => layer.latent_attention(latent),
        }
        match &c.experts {
            Some(experts) if c.is_mixture(index) => layer.mixture(experts),
            _ => layer.feed_forward(),
        }
    }
    all.wanted
}

struct List<'a> {
    layout: Layout<'a>,
    wanted: Vec<Wanted>,
}

impl List<'_> {
    /// A tensor that the file has as it is wanted.
    fn whole(&mut self, name: &str, shape: &[usize]) {
        let place = Place::whole(self.file_name(name), shape);
        self.push(name, shape, place);
    }

    fn push(&mut self, name: &str, shape: &[usize], place: Place) {
        self.wanted.push(Wanted {
            name: name.to_owned(),
            shape: shape.to_vec(),
            place,
        });
    }

    /// The file's name of a tensor.
    fn file_name(&self, name: &str) -> String {
        match self.layout {
            Layout::Gguf(_) => name.to_owned(),
            Layout::Safetensors => safetensors_name(name).expect("a name of this module"),
        }
    }
}

struct Layer<'a, 'l> {
    index: usize,
    config: &'a ModelConfig,
    all: &'a mut List<'l>,
}

impl Layer<'_, '_> {
    fn name(&self, part: &str) -> String {
        format!("blk.{}.{part}", self.index)
    }

    fn whole(&mut self, part: &str, shape: &[usize]) {
        let name = self.name(part);
        self.all.whole(&name, shape);
    }

    /// `part` as some rows of the file's `holder`.
    fn rows(
        &mut self,
        part: &str,
        shape: &[usize],
        (holder, holder_shape): (&str, &[usize]),
        rows: Vec<Range<usize>>,
    ) {
        let place = Place {
            rows: Some(rows),
            ..Place::whole(self.all.file_name(&self.name(holder)), holder_shape)
        };
        let name = self.name(part);
        self.all.push(&name, shape, place);
    }

    /// `part` as all that the file's `holder` has, by other dimensions.
    fn reshaped(&mut self, part: &str, shape: &[usize], holder: &str, holder_shape: &[usize]) {
        let place = Place::whole(self.all.file_name(&self.name(holder)), holder_shape);
        let name = self.name(part);
        self.all.push(&name, shape, place);
    }

    /// True for a GGUF file that has this part of the layer.
    fn gguf_has(&self, part: &str) -> bool {
        match self.all.layout {
            Layout::Gguf(has) => has(&self.name(part)),
            Layout::Safetensors => false,
        }
    }

    fn norms(&mut self) {
        let hidden = self.config.hidden;
        self.whole("attn_norm.weight", &[hidden]);
        let after_attention = "post_attention_norm.weight";
        if self.config.post_norms {
            self.whole("ffn_norm.weight", &[hidden]);
            self.whole(after_attention, &[hidden]);
            self.whole("post_ffw_norm.weight", &[hidden]);
        } else if self.gguf_has(after_attention) {
            // GLM-4.5's GGUF calls the norm before the feed-forward by what it follows.
            self.reshaped("ffn_norm.weight", &[hidden], after_attention, &[hidden]);
        } else {
            self.whole("ffn_norm.weight", &[hidden]);
        }
    }

    fn attention(&mut self) {
        let c = self.config;
        let (q, kv) = (c.n_heads * c.head_dim, c.n_kv_heads * c.head_dim);
        for (part, n) in [("attn_q", q), ("attn_k", kv), ("attn_v", kv)] {
            let turned = part != "attn_v";
            self.turned(&format!("{part}.weight"), &[n, c.hidden], turned);
            if c.qkv_bias {
                self.turned(&format!("{part}.bias"), &[n], turned);
            }
        }
        if c.head_norms {
            self.whole("attn_q_norm.weight", &[c.head_dim]);
            self.whole("attn_k_norm.weight", &[c.head_dim]);
        }
        self.whole("attn_output.weight", &[c.hidden, q]);
    }

    /// Rows of heads, each in the order that turns halves.
    fn turned(&mut self, part: &str, shape: &[usize], turned: bool) {
        let rotary = &self.config.rotary;
        if !(turned && rotary.interleaved) {
            return self.whole(part, shape);
        }
        let (n, d) = (shape[0], self.config.head_dim);
        let mut rows = Vec::new();
        for first in (0..n).step_by(d) {
            rows.extend(halves(first, rotary.dims));
            rows.push(first + rotary.dims..first + d);
        }
        self.rows(part, shape, (part, shape), rows);
    }

    fn latent_attention(&mut self, latent: &LatentConfig) {
        let c = self.config;
        let (h, turned, still) = (c.n_heads, c.rotary.dims, latent.still_dims);
        let order = |first: usize| -> Vec<Range<usize>> {
            match c.rotary.interleaved {
                true => halves(first, turned).collect(),
                false => std::iter::once(first..first + turned).collect(),
            }
        };
        // Queries: of each head what stands still, then what is turned.
        let (q_in, holder) = match latent.q_rank {
            Some(rank) => {
                self.whole("attn_q_a.weight", &[rank, c.hidden]);
                self.whole("attn_q_a_norm.weight", &[rank]);
                (rank, "attn_q_b.weight")
            }
            None => (c.hidden, "attn_q.weight"),
        };
        let n_rows = h * (still + turned);
        let holder_shape = [n_rows, q_in];
        let holder = (holder, holder_shape.as_slice());
        let heads = (0..n_rows).step_by(still + turned);
        let rows = heads.clone().flat_map(|head| order(head + still)).collect();
        self.rows("attn_q_turned.weight", &[h * turned, q_in], holder, rows);
        let rows = heads.map(|head| head..head + still).collect();
        self.rows("attn_q_still.weight", &[h * still, q_in], holder, rows);
        // The latent, then the one key's turned part.
        let rank = latent.kv_rank;
        let holder_shape = [rank + turned, c.hidden];
        let holder = ("attn_kv_a_mqa.weight", holder_shape.as_slice());
        let shape = [turned, c.hidden];
        self.rows("attn_k_turned.weight", &shape, holder, order(rank));
        let rows = std::iter::once(0..rank).collect();
        self.rows("attn_latent.weight", &[rank, c.hidden], holder, rows);
        self.whole("attn_kv_a_norm.weight", &[rank]);
        self.up_from_latent(latent);
        self.whole("attn_output.weight", &[c.hidden, h * latent.value_dims]);
    }

    /// What makes keys of a latent, and what makes values.
    fn up_from_latent(&mut self, latent: &LatentConfig) {
        let (h, rank) = (self.config.n_heads, latent.kv_rank);
        let (still, value) = (latent.still_dims, latent.value_dims);
        let (keys, values) = ("attn_k_b.weight", "attn_v_b.weight");
        let (keys_shape, values_shape) = ([h * still, rank], [h * value, rank]);
        if self.gguf_has(keys) {
            // A tensor each, with a matrix a head; those of the keys from the latent's side.
            let place = Place {
                transposed: true,
                ..Place::whole(self.name(keys), &[h, rank, still])
            };
            let name = self.name(keys);
            self.all.push(&name, &keys_shape, place);
            self.reshaped(values, &values_shape, values, &[h, value, rank]);
            return;
        }
        // Of each head one, then the other.
        let holder_shape = [h * (still + value), rank];
        let holder = ("attn_kv_b.weight", holder_shape.as_slice());
        let heads = (0..h * (still + value)).step_by(still + value);
        let rows = heads.clone().map(|head| head..head + still).collect();
        self.rows(keys, &keys_shape, holder, rows);
        let rows = heads.map(|head| head + still..head + still + value);
        self.rows(values, &values_shape, holder, rows.collect());
    }

    fn feed_forward(&mut self) {
        let (hidden, ffn) = (self.config.hidden, self.config.ffn);
        let shape = [ffn, hidden];
        self.whole("ffn_down.weight", &[hidden, ffn]);
        if !self.config.fused_gate_up {
            self.whole("ffn_gate.weight", &shape);
            self.whole("ffn_up.weight", &shape);
            return;
        }
        let holder = match self.all.layout {
            Layout::Gguf(_) => "ffn_up.weight",
            Layout::Safetensors => "ffn_gate_up.weight",
        };
        let holder_shape = [2 * ffn, hidden];
        let holder = (holder, holder_shape.as_slice());
        for (part, first) in [("ffn_gate.weight", 0), ("ffn_up.weight", ffn)] {
            let rows = std::iter::once(first..first + ffn).collect();
            self.rows(part, &shape, holder, rows);
        }
    }

    fn mixture(&mut self, experts: &ExpertsConfig) {
        let (hidden, n, ffn) = (self.config.hidden, experts.n, experts.ffn);
        self.whole("ffn_gate_inp.weight", &[n, hidden]);
        if experts.router.corrected {
            self.whole("exp_probs_b.bias", &[n]);
        }
        if experts.shared_ffn > 0 {
            let shared = [experts.shared_ffn, hidden];
            self.whole("ffn_gate_shexp.weight", &shared);
            self.whole("ffn_up_shexp.weight", &shared);
            self.whole("ffn_down_shexp.weight", &[hidden, experts.shared_ffn]);
        }
        for expert in 0..n {
            self.expert("ffn_gate", expert, n, &[ffn, hidden]);
            self.expert("ffn_up", expert, n, &[ffn, hidden]);
            self.expert("ffn_down", expert, n, &[hidden, ffn]);
        }
    }

    /// A matrix of one expert: GGUF has those of all in one.
    fn expert(&mut self, part: &str, expert: usize, n: usize, shape: &[usize; 2]) {
        let of_expert = format!("{part}.{expert}.weight");
        match self.all.layout {
            Layout::Safetensors => self.whole(&of_expert, shape),
            Layout::Gguf(_) => {
                let [out, inner] = *shape;
                let rows = std::iter::once(expert * out..(expert + 1) * out).collect();
                let holder = format!("{part}_exps.weight");
                self.rows(&of_expert, shape, (&holder, &[n, out, inner]), rows);
            }
        }
    }
}

/// The rows of `n` numbers of a head from `first` on, so that pairs of neighbours become
/// pairs of halves.
fn halves(first: usize, n: usize) -> impl Iterator<Item = Range<usize>> {
    let evens = (0..n).step_by(2);
    let odds = (1..n).step_by(2);
    evens.chain(odds).map(move |i| first + i..first + i + 1)
}

/// The safetensors name of one of GGUF's, or of an expert's part.
fn safetensors_name(name: &str) -> Option<String> {
    match name {
        "token_embd.weight" => return Some("model.embed_tokens.weight".into()),
        "output_norm.weight" => return Some("model.norm.weight".into()),
        "output.weight" => return Some("lm_head.weight".into()),
        _ => {}
    }
    let (layer, rest) = name.strip_prefix("blk.")?.split_once('.')?;
    let (part, kind) = rest.rsplit_once('.')?;
    let theirs = |part: &str| {
        let found = PARTS.iter().find(|(ours, _)| *ours == part);
        found.map(|(_, theirs)| *theirs)
    };
    Some(match part.split_once('.') {
        Some((part, expert)) => {
            let theirs = theirs(part)?.strip_prefix("mlp.")?;
            format!("model.layers.{layer}.mlp.experts.{expert}.{theirs}.{kind}")
        }
        None if part == "exp_probs_b" => format!("model.layers.{layer}.{}", theirs(part)?),
        None => format!("model.layers.{layer}.{}.{kind}", theirs(part)?),
    })
}

#[cfg(test)]
mod tests {
    use super::super::config::{RouterConfig, RouterScores, tiny};
    use super::*;

    fn place<'a>(wanted: &'a [Wanted], name: &str) -> &'a Place {
        let found = wanted.iter().find(|w| w.name == name);
        &found.expect(name).place
    }

    #[test]
    fn every_tensor_of_a_dense_model_lies_whole_under_a_name_of_its_own() {
        let all = wanted(&tiny(), Layout::Safetensors);
        let theirs: std::collections::HashSet<_> = all.iter().map(|w| &w.place.tensor).collect();
        assert_eq!(theirs.len(), all.len());
        let bias = place(&all, "blk.0.attn_q.bias");
        assert_eq!(bias.tensor, "model.layers.0.self_attn.q_proj.bias");
        assert!(all.iter().all(|w| w.place.rows.is_none()));
        assert_eq!(safetensors_name("blk.0.rope.weight"), None);
        assert_eq!(safetensors_name("blk.0"), None);
    }

    #[test]
    fn neighbours_of_a_head_become_halves() {
        let mut config = tiny();
        config.head_dim = 6;
        config.rotary.dims = 4;
        config.rotary.interleaved = true;
        let all = wanted(&config, Layout::Gguf(&|_| false));
        let rows = place(&all, "blk.0.attn_k.weight").rows.clone().unwrap();
        let rows: Vec<usize> = rows.into_iter().flatten().collect();
        assert_eq!(rows, [0, 2, 1, 3, 4, 5, 6, 8, 7, 9, 10, 11]);
        assert_eq!(place(&all, "blk.0.attn_v.weight").rows, None);
    }

    #[test]
    fn an_experts_matrix_is_a_tensor_of_its_own_or_a_part_of_one() {
        let config = ModelConfig {
            experts: Some(ExpertsConfig {
                n: 4,
                n_used: 2,
                ffn: 6,
                shared_ffn: 0,
                dense_layers: vec![],
                router: RouterConfig {
                    scores: RouterScores::Softmax,
                    corrected: true,
                    n_groups: 1,
                    n_groups_used: 1,
                    normalised: true,
                    scale: 1.0,
                },
            }),
            ..tiny()
        };
        let all = wanted(&config, Layout::Safetensors);
        let of_three = place(&all, "blk.0.ffn_down.3.weight");
        assert_eq!(
            of_three.tensor,
            "model.layers.0.mlp.experts.3.down_proj.weight"
        );
        let bias = place(&all, "blk.0.exp_probs_b.bias");
        assert_eq!(
            bias.tensor,
            "model.layers.0.mlp.gate.e_score_correction_bias"
        );
        let all = wanted(&config, Layout::Gguf(&|_| false));
        let of_three = place(&all, "blk.0.ffn_up.3.weight");
        assert_eq!(of_three.tensor, "blk.0.ffn_up_exps.weight");
        assert_eq!(of_three.shape, [4, 6, 8]);
        assert_eq!(of_three.runs(1).first(), Some(&(18..24)));
    }
}
