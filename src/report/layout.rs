//! Where the tree's nodes stand: columns are positions on a path, lanes are
//! branches. Pure integers; the renderer gives them pixels.
use super::view::RunView;
use crate::base::BranchId;
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

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    pub from: Place,
    pub to: Place,
    pub winning: bool,
}

/// The end of a branch's lane, where its label stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lane {
    pub branch: BranchId,
    pub end: Place,
    pub winning: bool,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tree {
    pub nodes: Vec<Node>,
    pub edges: Vec<Edge>,
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
        for &step in &branch.own_steps {
            let place = places[step].expect("own steps have places");
            let on_path = winning.contains(&step);
            tree.nodes.push(Node {
                step,
                place,
                winning: on_path,
            });
            tree.edges.push(Edge {
                from,
                to: place,
                winning: on_path,
            });
            from = place;
        }
        if branch.own_steps.is_empty() {
            let column = branch.shared_steps.len() + 1;
            let to = Place { column, lane };
            tree.edges.push(Edge {
                from,
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
        forks.sort_by_key(|&at| view.branches[at].shared_steps.len());
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
