//! Edits files in place so that they declare what a database holds: changed objects where they are, new ones beside their neighbours; those
//! that are gone are removed along with their comments.
//!
//! An edit is the difference between two canonical forms of an object, before and after; so it does not matter how the file spells the parts
//! that stay. The edited files are read back: where they do not declare what they should, the surrounding object is rewritten.

mod attempt;

use std::cell::OnceCell;
use std::path::{Path, PathBuf};

use rustc_hash::{FxHashMap, FxHashSet};

use super::{Loaded, load_texts, write};
use crate::diff::compare;
use crate::kdl::Node;
use crate::kinds::room;
use crate::model::{Error, Ident, Object, ObjectId, Part, Result, State};

use attempt::Edit;

/// Files after an edit.
#[derive(Debug, Default)]
pub struct Edited {
    /// The path as the load shows it, and the new text; `None`: nothing is left in it.
    pub files: Vec<(PathBuf, Option<String>)>,
    /// Objects whose nodes could not be edited in part: their own comments are gone.
    pub anew: Vec<ObjectId>,
}

/// An object that differs, and in which attributes; none: only one of the two states has it.
pub type Differing = (ObjectId, Vec<&'static str>);

/// Edits files so that they say of the differing objects what `live` does.
///
/// # Errors
/// If there is no way to do so in place.
pub fn edit(loaded: &Loaded, schema_dir: &Path, live: &State, differing: &[Differing]) -> Result<Edited> {
    let target = target(&loaded.state, live, differing);
    let trees: Vec<OnceCell<Vec<Node>>> = loaded.sources.files.iter().map(|_| OnceCell::new()).collect();
    let mut anew: FxHashSet<ObjectId> = FxHashSet::default();
    loop {
        let mut edit = Edit::new(loaded, schema_dir, live, &target);
        edit.run(&trees, &anew);
        let lost: Vec<ObjectId> = edit.lost.iter().map(|id| home(id).clone()).collect();
        let files = edit.finish(&trees);
        let checked = if lost.is_empty() { wrong(loaded, &files, &target) } else { Ok(lost) };
        if checked.as_ref().is_ok_and(Vec::is_empty) {
            let mut anew: Vec<ObjectId> = anew.into_iter().filter(|id| target.has(id)).collect();
            anew.sort();
            return Ok(Edited { files, anew });
        }
        let before = anew.len();
        let why = match &checked {
            Ok(ids) => ids.iter().take(5).map(ToString::to_string).collect::<Vec<_>>().join(", "),
            Err(error) => error.message.clone(),
        };
        // If it cannot be said which edit was wrong, it may be any.
        let unknown = checked.is_err() || before > 0;
        let any = differing.iter().map(|(id, _)| home(id).clone()).filter(|_| unknown);
        let all: Vec<ObjectId> = any.chain(checked.unwrap_or_default()).collect();
        anew.extend(all.into_iter().filter(|id| loaded.state.has(id) && target.has(id)));
        if anew.len() == before {
            let error =
                Error::failed("the files cannot be edited in place to declare what the database holds").detail(why);
            return Err(error.remedy(
                "commit them and run `setpoint pull --force`, which replaces them all; Git shows what changed",
            ));
        }
    }
}

/// The files' state with what differs as the live one has it. What does not differ stays as it was written.
fn target(files: &State, live: &State, differing: &[Differing]) -> State {
    let mut out = files.clone();
    let gone = |id: &ObjectId| files.has(id) && !live.has(id);
    let dropped: FxHashSet<&ObjectId> = differing.iter().map(|(id, _)| id).filter(|id| gone(id)).collect();
    out.objects_mut().retain(|id, _| !dropped.contains(id) && !id.ancestors().any(|parent| dropped.contains(parent)));
    let mut added: FxHashSet<&ObjectId> = FxHashSet::default();
    for (id, attrs) in differing {
        match (files.get(id), live.get(id)) {
            (None, Some(_)) => _ = added.insert(id),
            (Some(old), Some(new)) => {
                let mut object = if attrs.is_empty() { new.clone() } else { old.clone() };
                for name in attrs {
                    match new.value(name) {
                        Some(value) => object.attrs.put(name, value.clone()),
                        None => object.attrs.remove(name),
                    }
                }
                // Renames of parts whose names have changed since no longer apply.
                let stands = |part: &&Part| {
                    let has = |name: &Ident| room(part.id.kind()).is_in(name, &object);
                    has(part.id.name()) && !has(&part.was)
                };
                let parts = old.parts.iter().filter(stands).cloned().collect();
                out.put(id.clone(), Object { place: old.place, was: old.was.clone(), parts, ..object });
            }
            _ => {}
        }
    }
    // In the order of the live state; with all that is theirs.
    for (id, object) in live.iter() {
        let new = added.contains(id) || id.ancestors().any(|parent| added.contains(parent));
        if new && !out.has(id) && id.parent().is_none_or(|parent| out.has(parent)) {
            out.put(id.clone(), Object { place: None, was: None, ..object.clone() });
        }
    }
    out
}

/// The object at the top level of a file or schema that contains an object.
fn home(id: &ObjectId) -> &ObjectId {
    std::iter::once(id).chain(id.ancestors()).find(|id| write::stands_alone(id)).unwrap_or(id)
}

/// The objects of which the edited files say something else than they should; an error if they say nothing that can be read.
fn wrong(loaded: &Loaded, files: &[(PathBuf, Option<String>)], target: &State) -> Result<Vec<ObjectId>> {
    let edited: FxHashMap<&PathBuf, &Option<String>> = files.iter().map(|(path, text)| (path, text)).collect();
    let kept = loaded.sources.files.iter().filter(|(path, _)| !edited.contains_key(path)).cloned();
    let new = files.iter().filter_map(|(path, text)| text.clone().map(|text| (path.clone(), text)));
    let texts: Vec<(PathBuf, String)> = kept.chain(new).collect();
    let found = compare(target, &load_texts(&texts)?.state);
    let changed = found.changed.into_iter().map(|(id, _)| id).chain(found.open.into_iter().map(|open| open.id));
    let all = changed.chain(found.created).chain(found.dropped);
    Ok(all.map(|id| home(&id).clone()).collect::<FxHashSet<_>>().into_iter().collect())
}
