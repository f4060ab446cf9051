//! Where the tree's nodes stand: columns are positions on a path, lanes are
//! branches. Pure integers; the renderer gives them pixels.
//!
//! The tree is placed in whole columns and lanes, so that no edges cross.
use super::view::{BranchView, RunView, chosen};
use crate::base::BranchId;
use crate::record::StepFinished;
use std::collections::HashSet;

/// A place in the tree. The prompt stands at column 0, lane 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Place {
    pub column: usize,
    pub lane: usize,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Node {
    /// Index in [`RunView::steps`].
    pub step: usize,
    pub place: Place,
    pub winning: bool,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Edge {
    pub from: Place,
    /// Where it leaves another branch's action in its midst, if it does.
    pub via: Option<Via>,
    pub to: Place,
    pub winning: bool,
}

/// A place between two columns: an action that several branches begin with.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Via {
    /// The column before the action's step, and its lane.
    pub place: Place,
    /// How far into the action, in `0..=1`.
    pub share: f32,
}

/// The end of a branch's lane, where its label stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    pub branch: BranchId,
    pub end: Place,
    pub winning: bool,
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tree {
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
    /// Actions that were left in their midst, whoever went on from there.
    pub seams: Vec<Via>,
    /// From top to bottom.
    pub lanes: Vec<Lane>,
    /// Columns in use, the prompt's included.
    pub n_columns: usize,
}

/// Lays a run out so that no edge crosses another: a branch's forks stand
/// right below it, the latest fork first.
pub fn tree(view: &RunView) -> Tree {
    let order = lanes_top_down(view);
    let winning: HashSet<usize> = view
        .winner()
        .map(|winner| winner.path().into_iter().collect())
        .unwrap_or_default();
    let mut places = vec![None; view.steps.len()];
    for (lane, &at) in order.iter().enumerate() {
        let branch = &view.branches[at];
        for (nth, &step) in branch.own_steps.iter().enumerate() {
            let column = branch.shared_steps.len() + nth + 1;
            places[step] = Some(Place { column, lane });
        }
    }
    let mut tree = Tree {
        n_columns: 1,
        ..Tree::default()
    };
    for (lane, &at) in order.iter().enumerate() {
        let branch = &view.branches[at];
        let is_winner = view.is_winner(branch.id);
        let root = Place { column: 0, lane: 0 };
        let mut from = branch
            .shared_steps
            .last()
            .and_then(|&step| places[step])
            .unwrap_or(root);
        let mut via = left_at(view, branch, &places);
        tree.seams.extend(via);
        let left_another = via.is_some();
        for (nth, &step) in branch.own_steps.iter().enumerate() {
            let place = places[step].expect("own steps have places");
            let on_path = winning.contains(&step);
            tree.nodes.push(Node {
                step,
                place,
                winning: on_path,
            });
            tree.edges.push(Edge {
                from,
                via: via.take(),
                to: place,
                winning: on_path,
            });
            if nth > 0 || !left_another {
                tree.seams.extend(within(&view.steps[step], place));
            }
            from = place;
        }
        if branch.own_steps.is_empty() {
            let column = branch.shared_steps.len() + 1;
            let to = Place { column, lane };
            tree.edges.push(Edge {
                from,
                via: None,
                to,
                winning: is_winner,
            });
            from = to;
        }
        tree.n_columns = tree.n_columns.max(from.column + 1);
        tree.lanes.push(Lane {
            branch: branch.id,
            end: from,
            winning: is_winner,
        });
    }
    tree
}

/// Where a branch leaves the action of a step that stands elsewhere.
fn left_at(view: &RunView, branch: &BranchView, places: &[Option<Place>]) -> Option<Via> {
    let seam = view.seam(branch)?;
    let fork = branch.forked_from?.step;
    let at = view.steps.iter().position(|step| step.step == fork)?;
    Some(before(places[at]?, seam.share()))
}

/// Where a step's own action leaves the one that was decoded first and not taken.
fn within(step: &StepFinished, place: Place) -> Option<Via> {
    let taken = chosen(step).filter(|taken| taken.forked_at > 0)?;
    let share = taken.forked_at as f32 / taken.tokens.len().max(1) as f32;
    Some(before(place, share))
}

fn before(place: Place, share: f32) -> Via {
    let column = place.column - 1;
    Via {
        place: Place { column, ..place },
        share,
    }
}

/// Indices of branches in lane order: each before its forks, forks by where
/// they leave, latest first.
fn lanes_top_down(view: &RunView) -> Vec<usize> {
    let n = view.branches.len();
    let mut children = vec![Vec::new(); n];
    let mut roots = Vec::new();
    for (at, branch) in view.branches.iter().enumerate() {
        let parent = branch.forked_from.and_then(|fork| {
            let earlier = &view.branches[..at];
            earlier.iter().position(|other| other.id == fork.branch)
        });
        match parent {
            Some(parent) => children[parent].push(at),
            None => roots.push(at),
        }
    }
    for forks in &mut children {
        let leaves_at = |at: usize| {
            let branch = &view.branches[at];
            let within = view.seam(branch).map_or(0.0, |seam| seam.share());
            (branch.shared_steps.len(), within)
        };
        forks.sort_by(|&a, &b| {
            let (a, b) = (leaves_at(a), leaves_at(b));
            a.0.cmp(&b.0).then(a.1.total_cmp(&b.1))
        });
    }
    roots.reverse();
    let mut order = Vec::with_capacity(n);
    let mut stack = roots;
    while let Some(at) = stack.pop() {
        order.push(at);
        stack.extend(&children[at]);
    }
    order
}
