//! One agent on one branch: what it is shown, what it may write, what its
//! actions do, and when it ends. Plain functions and data; the search drives.
//!
//! A step: [`step::Memory::tools`] says which tools are open, [`grammar::lark`]
//! holds the model to them, [`parse`] reads the [`Action`], [`Executor`] carries
//! it out and returns an [`Observation`], whose tokens ([`encode_observation`]) go behind the
//! branch's own.
//!
//! What a small model needs is built in: code travels raw behind the call,
//! names that exist are the only ones that can be written, an edit that finds
//! no place shows the nearest real text, and a repeated action is withheld.
mod action;
mod call;
mod check;
mod chosen;
mod config;
mod context;
mod dialect;
mod edit;
pub mod grammar;
mod issue;
mod listing;
mod location;
mod map;
mod numbered;
mod observation;
mod parse;
mod parse_error;
mod paths;
mod prompt;
mod rank;
mod reasoning;
mod rubric;
mod scope;
mod span;
pub mod step;
mod tool;
mod tools;

pub use action::{Action, Change, Hunk, Query};
pub use call::CallFormat;
pub(crate) use call::call_start;
pub use check::{AfterEdit, CheckReport};
pub use config::{AgentConfig, Role};
pub use context::{FirstPrompt, first_prompt};
pub use dialect::{
    ChatMl, Dialect, DialectError, Segment, SplicedDialect, Turn, encode, encode_observation,
};
pub use edit::changes_nothing;
pub use grammar::GrammarContext;
pub use location::{LocationChoice, view_of};
pub use observation::Observation;
pub use parse::parse;
pub use parse_error::ParseError;
pub use reasoning::{REASONING_CLOSING, REASONING_OPENING, answer_start};
pub use rubric::{Digits, ask, digits};
pub use scope::Scope;
pub use span::{CallSpan, CallTokens, call_span, locate_call, n_reasoning_tokens, token_ends};
pub use step::{Memory, Verdict};
pub use tool::{Block, Form, Param, ParamKind, ToolSet, form};
pub use tools::{Executor, Undo};

use crate::lang::LangError;
use crate::workspace::WorkspaceError;
use std::path::PathBuf;

/// What can go wrong around an agent that is not the model's mistake.
#[derive(Debug, thiserror::Error)]
pub enum AgentError {
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    #[error("cannot {what} {}: {source}", path.display())]
    Io {
        what: &'static str,
        path: PathBuf,
        source: std::io::Error,
    },
    #[error(transparent)]
    Lang(#[from] LangError),
    #[error("the check after an edit cannot be run: {0}")]
    Check(String),
    #[error("the issue is empty; say what is wrong in a sentence or two")]
    EmptyIssue,
    #[error(
        "the rules and the issue take {tokens} tokens, and they may take half of the context ({tokens_max} of {ctx_tokens}); raise --ctx or shorten the issue"
    )]
    PromptTooLong {
        tokens: usize,
        tokens_max: usize,
        ctx_tokens: usize,
    },
}
