//! The repository as it is at each of a run's trees.
//!
//! A branch's files are the base's with what its tree changes: no step reads the whole repository.
use crate::index::RepoView;
use crate::lang::LangError;
use crate::workspace::{Shadow, TreeId};
use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};

/// Views that are kept: branches that live at the same time look at different trees.
const KEPT_MAX: usize = 8;

/// Views by what a tree changes in the base: files are read once, not at each step.
pub struct Views<'a> {
    shadow: &'a Shadow,
    base: &'a TreeId,
    view: &'a RepoView,
    source_folders: &'a BTreeSet<String>,
    /// The newest last.
    kept: Mutex<Vec<(TreeId, Arc<RepoView>)>>,
}

impl<'a> Views<'a> {
    /// Views of trees beside `base`, whose own is `view`.
    pub fn new(
        shadow: &'a Shadow,
        base: &'a TreeId,
        view: &'a RepoView,
        source_folders: &'a BTreeSet<String>,
    ) -> Self {
        Self {
            shadow,
            base,
            view,
            source_folders,
            kept: Mutex::default(),
        }
    }

    /// The view of a tree. Cost: the files that it changes, and a list of all.
    pub fn at(&self, tree: &TreeId) -> Result<Arc<RepoView>, LangError> {
        let kept = || self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((_, view)) = kept().iter().find(|(of, _)| of == tree) {
            return Ok(Arc::clone(view));
        }
        let view = self
            .view
            .at(self.shadow, Some(self.base), tree, self.source_folders)?;
        let view = Arc::new(view);
        let mut kept = kept();
        if kept.len() >= KEPT_MAX {
            kept.remove(0);
        }
        kept.push((tree.clone(), Arc::clone(&view)));
        Ok(view)
    }
}
