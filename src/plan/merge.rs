//! Two branches that each continued the chain and were merged: which plans they share, and which are parallel.

use std::path::{Path, PathBuf};

use rustc_hash::FxHashSet;

use crate::model::{Error, Result, State};

use super::chain::{self, Link};
use super::{Plan, file};

/// A chain that continues in two ways.
#[derive(Debug)]
pub struct Fork {
    /// The plans before.
    pub common: Vec<Plan>,
    /// How it continues: in each the plans of one branch, in order.
    pub sides: Vec<Vec<Plan>>,
    /// The files of all plans of the sides, each once.
    pub files: Vec<PathBuf>,
}

/// The texts that a merge left in one file: the file itself, or both sides if it has Git's conflict markers.
pub fn versions(text: &str) -> Vec<String> {
    if !text.lines().any(|line| line.starts_with("<<<<<<<")) {
        return vec![text.to_owned()];
    }
    let [mut ours, mut theirs] = [String::new(), String::new()];
    let (mut in_ours, mut in_theirs) = (true, true);
    for line in text.split_inclusive('\n') {
        let conflict = !(in_ours && in_theirs);
        if line.starts_with("<<<<<<<") {
            (in_ours, in_theirs) = (true, false);
        } else if conflict && line.starts_with("|||||||") {
            (in_ours, in_theirs) = (false, false);
        } else if conflict && line.trim_end() == "=======" {
            (in_ours, in_theirs) = (false, true);
        } else if conflict && line.starts_with(">>>>>>>") {
            (in_ours, in_theirs) = (true, true);
        } else {
            if in_ours {
                ours.push_str(line);
            }
            if in_theirs {
                theirs.push_str(line);
            }
        }
    }
    vec![ours, theirs]
}

/// The chain's lines of both sides, each plan once: one side may have it lead to files that mean the same.
pub(super) fn links(path: &Path, text: &str) -> Result<Vec<Link>> {
    let mut links: Vec<Link> = Vec::new();
    for version in versions(text) {
        for link in chain::lines(path, &version)? {
            let same = |other: &Link| (other.number, &other.name, other.hash) == (link.number, &link.name, link.hash);
            if !links.iter().any(same) {
                links.push(link);
            }
        }
    }
    Ok(links)
}

/// Plan files whose number the chain gives to another plan: number and name.
pub(super) fn strays(dir: &Path, links: &[Link]) -> Vec<(u32, String)> {
    let mut found: Vec<(u32, String)> = names(dir)
        .into_iter()
        .filter(|(number, name)| {
            links.iter().any(|link| link.number == *number)
                && !links.iter().any(|link| link.number == *number && link.name == *name)
        })
        .collect();
    found.sort();
    found
}

/// Number and name of every plan file in a directory.
pub fn names(dir: &Path) -> Vec<(u32, String)> {
    let entries = std::fs::read_dir(dir).into_iter().flatten().flatten();
    let names = entries.filter_map(|entry| entry.file_name().into_string().ok());
    let mut found: Vec<(u32, String)> = names
        .filter_map(|text| {
            let (number, name) = text.strip_suffix(".kdl")?.split_once('-')?;
            (number.len() >= 4).then_some((number.parse().ok()?, name.to_owned()))
        })
        .collect();
    found.sort();
    found
}

/// The number that more than one plan has, and what to call them: by their names, or by their hashes where the names are the same.
pub(super) fn twice(dir: &Path, links: &[Link]) -> Option<(u32, Vec<String>)> {
    let mut seen = FxHashSet::default();
    let once = links.iter().filter(|link| seen.insert(*link));
    let mut all: Vec<(u32, String, Option<String>)> =
        once.map(|link| (link.number, link.name.clone(), link.hash.to_string().get(..8).map(str::to_owned))).collect();
    all.extend(strays(dir, links).into_iter().map(|(number, name)| (number, name, None)));
    let count = |number: u32| all.iter().filter(|(other, ..)| *other == number).count();
    let number = all.iter().map(|(number, ..)| *number).filter(|number| count(*number) > 1).min()?;
    let those: Vec<_> = all.iter().filter(|(other, ..)| *other == number).collect();
    let called = |(_, name, hash): &(u32, String, Option<String>)| match hash {
        Some(hash) if those.iter().filter(|(_, other, _)| other == name).count() > 1 => hash.clone(),
        _ => name.clone(),
    };
    Some((number, those.iter().map(|plan| called(plan)).collect()))
}

/// Two plans have the same number.
pub(super) fn error(number: u32, names: &[String], markers: bool) -> Error {
    let mut error = Error::config(format!("plans/ has two plans {number}: {}", names.join(" and ")))
        .detail("two branches each added a plan of that number, and were merged");
    if markers {
        error = error.detail("plans/chain.kdl still has Git's conflict markers, which `rebase` takes out");
    }
    let (first, last) = (names.first().map_or("NAME", String::as_str), names.last().map_or("NAME", String::as_str));
    error.remedy(format!(
        "`setpoint rebase {last}` makes it plan {} with recomputed steps, or `setpoint rebase {first}` the other one; \
         move the one that fewer databases have run",
        number + 1
    ))
}

/// Where the chain of a directory continues in two ways; `None`: it does not.
///
/// # Errors
/// `Config` if the chain cannot be read, `Stale` if a plan of it cannot, or belongs to neither side.
pub fn fork(dir: &Path) -> Result<Option<Fork>> {
    let path = dir.join("chain.kdl");
    let text = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(Error::config(format!("cannot read {}", path.display())).detail(error.to_string())),
    };
    let links = links(&path, &text)?;
    let Some((number, _)) = twice(dir, &links) else { return Ok(None) };
    let mut plans: Vec<Plan> = Vec::new();
    for link in &links {
        let plan = find(dir, link.number, &link.name, |plan| plan.hash() == link.hash)?;
        plans.push(plan);
    }
    for (number, name) in strays(dir, &links) {
        plans.push(find(dir, number, &name, |_| true)?);
    }
    let files = plans.iter().filter(|p| p.number >= number).map(|p| dir.join(file::file_name(p.number, &p.name)));
    let mut files: Vec<PathBuf> = files.collect();
    files.dedup();
    let (mut common, rest): (Vec<Plan>, Vec<Plan>) = plans.into_iter().partition(|plan| plan.number < number);
    common.sort_by_key(|plan| plan.number);
    let (starts, mut later): (Vec<Plan>, Vec<Plan>) = rest.into_iter().partition(|plan| plan.number == number);
    let sides: Vec<Vec<Plan>> = starts
        .into_iter()
        .map(|start| {
            let mut side = vec![start];
            while let Some(at) = later.iter().position(|plan| plan.after == side.last().map(Plan::hash)) {
                side.push(later.remove(at));
            }
            side
        })
        .collect();
    if let Some(lost) = later.first() {
        let shown = file::file_name(lost.number, &lost.name);
        return Err(Error::stale(format!("plans/{shown} follows a plan that is not here"))
            .remedy("restore the plans of both branches from version control, and rebase then"));
    }
    Ok(Some(Fork { common, sides, files }))
}

/// The plan in a file that may hold two of them, between conflict markers.
fn find(dir: &Path, number: u32, name: &str, is: impl Fn(&Plan) -> bool) -> Result<Plan> {
    let shown = format!("plans/{}", file::file_name(number, name));
    let text = std::fs::read_to_string(dir.join(file::file_name(number, name))).map_err(|error| {
        Error::stale(format!("cannot read {shown}"))
            .detail(error.to_string())
            .remedy("restore it from the branch that it came from: `git checkout BRANCH -- plans/`")
    })?;
    let mut problem = None;
    for version in versions(&text) {
        match file::read(&shown, &version) {
            Ok(plan) if plan.number == number && is(&plan) => return Ok(plan),
            Ok(_) => {}
            Err(error) => problem = problem.or(Some(error)),
        }
    }
    Err(problem.unwrap_or_else(|| {
        Error::stale(format!("{shown} is not the plan that plans/chain.kdl names"))
            .remedy("restore both from version control")
    }))
}

/// Applies what one branch did to a state to what the other branch made of it.
pub fn combine(base: &State, ours: &State, theirs: &State) -> State {
    let mut out = State::default();
    for (id, object) in theirs.iter() {
        let merged = match (base.get(id), ours.get(id)) {
            (Some(_), None) => continue,
            (before, Some(after)) if before != Some(after) => after,
            _ => object,
        };
        out.put(id.clone(), merged.clone());
    }
    for (id, object) in ours.iter().filter(|(id, _)| !base.has(id) && !theirs.has(id)) {
        out.put(id.clone(), object.clone());
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_of_a_conflict_are_read() {
        let text = "one\n<<<<<<< HEAD\ntwo a\n||||||| base\n=======\ntwo b\n>>>>>>> other\nthree\n";
        assert_eq!(versions(text), ["one\ntwo a\nthree\n", "one\ntwo b\nthree\n"]);
        assert_eq!(versions("one\n=======\n"), ["one\n=======\n"]);
    }
}
