//! How text is cut before BPE, by the names that GGUF gives it
//! (`tokenizer.ggml.pre`, llama.cpp's `llama_vocab_pre_type`).
use tokenizers::decoders::byte_level::ByteLevel;
use tokenizers::models::bpe::{BPE, Vocab};
use tokenizers::normalizers::unicode::NFC;
use tokenizers::pre_tokenizers::PreTokenizerWrapper;
use tokenizers::pre_tokenizers::digits::Digits;
use tokenizers::pre_tokenizers::sequence::Sequence;
use tokenizers::pre_tokenizers::split::{Split, SplitPattern};
use tokenizers::tokenizer::SplitDelimiterBehavior;

/// A family's way from text to tokens.
pub(super) struct Pipeline {
    /// Names of tokenizers that cut alike.
    pre: &'static [&'static str],
    /// Text is brought to NFC first.
    nfc: bool,
    cut: Cut,
    /// A piece that is a token as it stands is taken whole, whatever the merges.
    whole_pieces: bool,
}

enum Cut {
    /// By each pattern in turn: what matches is a piece, and what lies between.
    Patterns(&'static [&'static str]),
    /// As GPT-2 cuts.
    Gpt2,
    /// Digits one by one, the rest as GPT-2 cuts it.
    DigitsThenGpt2,
}

/// As in the tokenizer.json published with the models; Kimi's as in its
/// tokenization_kimi.py. The names are llama.cpp's (`llama_vocab::impl::load`), those of
/// one kind there together here.
const PIPELINES: [Pipeline; 9] = [
    // Each digit stands alone.
    Pipeline {
        pre: &["qwen2", "deepseek-r1-qwen", "kormo", "f2llmv2", "megrez"],
        nfc: true,
        cut: Cut::Patterns(&[QWEN2]),
        whole_pieces: false,
    },
    Pipeline {
        pre: &["stablelm2", "hunyuan", "solar-open", "grok-2"],
        nfc: false,
        cut: Cut::Patterns(&[QWEN2]),
        whole_pieces: false,
    },
    // SmolLM2.
    Pipeline {
        pre: &[
            "smollm",
            "starcoder",
            "refact",
            "command-r",
            "codeshell",
            "exaone",
            "minerva-7b",
            "mellum2",
        ],
        nfc: false,
        cut: Cut::DigitsThenGpt2,
        whole_pieces: false,
    },
    Pipeline {
        pre: &[
            "gpt-2",
            "phi-2",
            "mpt",
            "olmo",
            "jais",
            "trillion",
            "granite-docling",
            "gigachat",
            "a.x-4.0",
            "mellum",
            "exaone4",
        ],
        nfc: false,
        cut: Cut::Gpt2,
        whole_pieces: false,
    },
    // llama.cpp's where a file names none. Its patterns match pieces and take what lies
    // between them for pieces too.
    Pipeline {
        pre: &["default"],
        nfc: false,
        cut: Cut::Patterns(&[
            r"[\p{P}\$\+<=>\^~\|]+",
            r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)",
            r"\p{N}+",
            r"[0-9][0-9][0-9]",
        ]),
        whole_pieces: false,
    },
    // GLM-4 and later; Llama 3.
    Pipeline {
        pre: &[
            "glm4",
            "llama-bpe",
            "llama3",
            "llama-v3",
            "falcon3",
            "falcon-h1",
            "pixtral",
            "midm-2.0",
            "lfm2",
        ],
        nfc: false,
        cut: Cut::Patterns(&[GLM4]),
        whole_pieces: true,
    },
    Pipeline {
        pre: &["chatglm-bpe", "dbrx", "smaug-bpe"],
        nfc: false,
        cut: Cut::Patterns(&[GLM4]),
        whole_pieces: false,
    },
    Pipeline {
        pre: &["deepseek-v3", "hunyuan-dense", "joyai-llm", "hy_v4"],
        nfc: false,
        cut: Cut::Patterns(&[
            r"\p{N}{1,3}",
            // Han, hiragana, katakana.
            r"[\x{4E00}-\x{9FA5}\x{3040}-\x{309F}\x{30A0}-\x{30FF}]+",
            r##"[!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"##,
        ]),
        whole_pieces: false,
    },
    Pipeline {
        pre: &["kimi-k2"],
        nfc: false,
        cut: Cut::Patterns(&[
            r"[\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+",
        ]),
        whole_pieces: false,
    },
];

const QWEN2: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const GLM4: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

impl Pipeline {
    /// The one of this name.
    pub fn find(pre: &str) -> Option<&'static Self> {
        PIPELINES
            .iter()
            .find(|pipeline| pipeline.pre.contains(&pre))
    }

    /// All names, for messages.
    pub fn names() -> String {
        let names = PIPELINES.iter().flat_map(|pipeline| pipeline.pre);
        let names: Vec<String> = names.map(|name| format!("{name:?}")).collect();
        names.join(", ")
    }

    /// A tokenizer that knows no added token.
    pub fn build(
        &self,
        vocab: Vocab,
        merges: Vec<(String, String)>,
    ) -> tokenizers::Result<tokenizers::Tokenizer> {
        let bpe = BPE::builder()
            .vocab_and_merges(vocab, merges)
            .ignore_merges(self.whole_pieces)
            .build()?;
        let mut tokenizer = tokenizers::Tokenizer::new(bpe);
        if self.nfc {
            tokenizer.with_normalizer(Some(NFC))?;
        }
        tokenizer.with_pre_tokenizer(Some(Sequence::new(self.stages()?)));
        Ok(tokenizer)
    }

    /// What cuts the text, and then spells its bytes.
    fn stages(&self) -> tokenizers::Result<Vec<PreTokenizerWrapper>> {
        let patterns = match self.cut {
            Cut::Gpt2 => return Ok(vec![ByteLevel::new(false, false, true).into()]),
            Cut::DigitsThenGpt2 => {
                let gpt2 = ByteLevel::new(false, false, true);
                return Ok(vec![Digits::new(true).into(), gpt2.into()]);
            }
            Cut::Patterns(patterns) => patterns,
        };
        let mut stages = Vec::with_capacity(patterns.len() + 1);
        for pattern in patterns {
            let pattern = SplitPattern::Regex((*pattern).into());
            stages.push(Split::new(pattern, SplitDelimiterBehavior::Isolated, false)?.into());
        }
        stages.push(ByteLevel::new(false, false, false).into());
        Ok(stages)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokenizers::{OffsetReferential, OffsetType, PreTokenizedString, PreTokenizer};

    fn pieces(pre: &str, text: &str) -> Vec<String> {
        let stages = Pipeline::find(pre).unwrap().stages().unwrap();
        let mut cut = PreTokenizedString::from(text);
        Sequence::new(stages).pre_tokenize(&mut cut).unwrap();
        cut.get_splits(OffsetReferential::Original, OffsetType::Byte)
            .into_iter()
            .map(|(_, (from, to), _)| text[from..to].to_owned())
            .collect()
    }

    #[test]
    fn text_is_cut_as_llama_cpp_cuts_it() {
        // Of llama.cpp's `unicode_regex_split`.
        let code = "def add(a, b):\n    return a + 12345\n";
        let code_pieces = [
            "def", " add", "(a", ",", " b", "):\n", "   ", " return", " a", " +", " ", "123", "45",
            "\n",
        ];
        let member = "self.items[0] += 1_000; //x";
        let member_pieces = [
            "self", ".items", "[", "0", "]", " +=", " ", "1", "_", "000", ";", " //", "x",
        ];
        let spaces = "  \n\n\t x  \r\n";
        for pre in ["glm4", "chatglm-bpe", "deepseek-v3", "kimi-k2"] {
            assert_eq!(pieces(pre, code), code_pieces, "{pre}");
            assert_eq!(pieces(pre, member), member_pieces, "{pre}");
            assert_eq!(
                pieces(pre, spaces),
                ["  \n\n", "\t", " x", "  \r\n"],
                "{pre}"
            );
        }
        let short = "I'm THEY'VE x'll";
        let apart = ["I", "'m", " THEY", "'VE", " x", "'ll"];
        assert_eq!(pieces("glm4", short), apart);
        assert_eq!(pieces("deepseek-v3", short), apart);
        assert_eq!(pieces("kimi-k2", short), ["I'm", " THEY'VE", " x'll"]);
        let scripts = "你好，世界 abc漢字kana日本語のテキスト。カタカナ123";
        assert_eq!(
            pieces("glm4", scripts),
            [
                "你好",
                "，世界",
                " abc漢字kana日本語のテキスト",
                "。カタカナ",
                "123"
            ]
        );
        assert_eq!(
            pieces("deepseek-v3", scripts),
            [
                "你好",
                "，",
                "世界",
                " abc",
                "漢字",
                "kana",
                "日本語のテキスト",
                "。",
                "カタカナ",
                "123"
            ]
        );
        assert_eq!(
            pieces("kimi-k2", scripts),
            [
                "你好",
                "，",
                "世界",
                " abc",
                "漢字",
                "kana",
                "日本語",
                "のテキスト",
                "。カタカナ",
                "123"
            ]
        );
    }
}
