//! `list`: the files below a folder.
use super::{Executor, unread_note};
use crate::agent::AgentError;
use crate::agent::listing::listing;
use crate::agent::observation::Observation;
use crate::index::RepoFile;
use crate::lang::nearest_names;
use crate::record::StepOutcome;
use std::path::Path;

impl Executor<'_> {
    pub(super) fn list(&self, dir: &Path, path: &str) -> Result<Observation, AgentError> {
        let folder = path.trim().trim_start_matches("./").trim_end_matches('/');
        let folder = if folder == "." { "" } else { folder };
        let view = self.files(dir)?;
        let all = || view.files.iter().map(|file| file.path.as_str());
        let prefix = match folder {
            "" => String::new(),
            _ => format!("{folder}/"),
        };
        let files = view.files.iter();
        let below: Vec<&RepoFile> = files
            .filter(|file| file.path.starts_with(&prefix))
            .collect();
        if below.is_empty() {
            let mut folders: Vec<&str> = all()
                .filter_map(|path| path.rsplit_once('/'))
                .map(|(folder, _)| folder)
                .collect();
            folders.dedup();
            let near = nearest_names(folder, &folders, 3);
            let hint = match near.is_empty() {
                true => String::new(),
                false => format!(" The nearest: {}.", near.join(", ")),
            };
            return Ok(Observation::rejected(format!(
                "There is no folder {folder} with files in it.{hint}"
            )));
        }
        let limit = self.config.limits().listed_files_max;
        let (text, cut) = listing(&below, &prefix, limit, "listed_files_max");
        let place = if folder.is_empty() {
            "the repository"
        } else {
            folder
        };
        let mut shown = format!("{} files below {place}:\n{text}", below.len());
        if cut.is_some() {
            shown += "\nNot every file is shown: list one of the folders, or search for a name.";
        }
        shown += &unread_note(&view, dir, |file| file.path.starts_with(&prefix));
        let mut observation = Observation::new(StepOutcome::Ok, shown);
        observation.cuts.extend(cut);
        Ok(observation)
    }
}
