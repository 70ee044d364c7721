//! Tests that files read back as they were written, whatever their layout, and that edits change what they are meant to and nothing else.

use std::path::{Path, PathBuf};

use proptest::prelude::*;

use super::edit::{Differing, edit};
use super::variants::choice;
use super::write::files;
use super::{Loaded, load_texts};
use crate::diff::compare;
use crate::kdl::{self, layouts};
use crate::model::State;

type Texts = Vec<(PathBuf, String)>;

fn read(texts: &[(PathBuf, String)]) -> Result<Loaded, TestCaseError> {
    load_texts(texts).map_err(|e| TestCaseError::fail(format!("{e}\n{texts:#?}")))
}

fn same(found: &State, expected: &State, texts: &Texts) -> Result<(), TestCaseError> {
    let difference = compare(expected, found);
    prop_assert!(difference.is_empty(), "{:?}\n{:#?}", difference, texts);
    Ok(())
}

/// What differs, as the comparison with a database would give it where nothing is the same but equal text.
fn differing(old: &State, new: &State) -> Vec<Differing> {
    let found = compare(new, old);
    let open = found.open.into_iter().map(|open| (open.id, vec![open.attr]));
    let mut out: Vec<Differing> = found.created.into_iter().chain(found.dropped).map(|id| (id, Vec::new())).collect();
    for (id, attrs) in found.changed.into_iter().chain(open) {
        match out.iter_mut().find(|(there, _)| *there == id) {
            Some((_, all)) => all.extend(attrs),
            None => out.push((id, attrs)),
        }
    }
    out
}

/// The files after an edit.
fn edited(before: &Texts, loaded: &Loaded, live: &State) -> Result<Texts, TestCaseError> {
    let done = edit(loaded, Path::new(""), live, &differing(&loaded.state, live));
    let done =
        done.map_err(|e| TestCaseError::fail(format!("{e}\n{:?}\n{before:#?}", differing(&loaded.state, live))))?;
    prop_assert!(done.anew.is_empty(), "written anew: {:?}\n{:#?}", done.anew, before);
    let mut out = before.clone();
    for (path, text) in done.files {
        out.retain(|(known, _)| *known != path);
        out.extend(text.map(|text| (path, text)));
    }
    out.sort();
    Ok(out)
}

/// The lines of a text with a comment above each of them that begins something.
fn commented(text: &str) -> String {
    let mut out = String::new();
    let mut inside = false;
    for (number, line) in text.lines().enumerate() {
        let body = line.trim_start();
        let indent = line.len() - body.len();
        let quote = line.matches("\"\"\"").count() == 1;
        if !inside && !body.is_empty() && body != "}" {
            out.push_str(&format!("{}// about line {number}\n", " ".repeat(indent)));
        }
        out.push_str(line);
        out.push('\n');
        inside ^= quote;
    }
    out
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_kind_survives_its_files(choice in choice()) {
        let state = choice.state();
        let written = files(&state);
        let again = read(&written)?;
        same(&again.state, &state, &written)?;
        prop_assert_eq!(files(&again.state), written.clone());
        for (path, text) in &written {
            let laid_out = kdl::format(0, text).map_err(|p| TestCaseError::fail(format!("{p:?}")))?;
            prop_assert_eq!(&laid_out, text, "{}", path.display());
        }
    }

    #[test]
    fn any_layout_says_the_same(choice in choice(), choices in layouts::choices()) {
        let state = choice.state();
        let mut scattered: Texts = Vec::new();
        for (path, text) in files(&state) {
            let nodes = kdl::read(0, &text).map_err(|p| TestCaseError::fail(format!("{p:?}")))?;
            scattered.push((path, layouts::scattered(&nodes, &choices).0));
        }
        same(&read(&scattered)?.state, &state, &scattered)?;
        for (_, text) in &mut scattered {
            *text = kdl::format(0, text).map_err(|p| TestCaseError::fail(format!("{p:?}\n{text}")))?;
        }
        same(&read(&scattered)?.state, &state, &scattered)?;
    }

    #[test]
    fn files_are_edited_to_any_other_state(old in choice(), new in choice(), one_file in any::<bool>()) {
        let texts = if one_file { vec![(PathBuf::from("all.kdl"), old.text())] } else { files(&old.state()) };
        let (loaded, live) = (read(&texts)?, new.state());
        let after = edited(&texts, &loaded, &live)?;
        let again = read(&after)?;
        same(&again.state, &live, &after)?;
        // What was edited needs no edit.
        prop_assert_eq!(edited(&after, &again, &live)?, after);
    }

    #[test]
    fn one_change_changes_its_own_lines(old in choice(), which in any::<usize>(), turn in any::<u8>()) {
        let (state, live) = (old.state(), old.with_one_changed(which, turn).state());
        let texts: Texts = files(&state).into_iter().map(|(path, text)| (path, commented(&text))).collect();
        for (_, text) in &texts {
            prop_assert_eq!(&kdl::format(0, text).unwrap_or_default(), text, "a comment moves no line");
        }
        let loaded = read(&texts)?;
        let after = edited(&texts, &loaded, &live)?;
        same(&read(&after)?.state, &live, &after)?;
        // The canonical files tell which lines have to change.
        let (canonical, wanted) = (files(&state), files(&live));
        let lines = |texts: &Texts, path: &PathBuf| -> Vec<String> {
            let text = texts.iter().find(|(known, _)| known == path).map_or("", |(_, text)| text);
            // Blank lines stay as they were, needed or not.
            let told = |line: &&str| !line.trim_start().starts_with("// about") && !line.is_empty();
            let mut lines: Vec<String> = text.lines().filter(told).map(String::from).collect();
            // New lines of one node may come in another order.
            lines.sort();
            lines
        };
        let paths = canonical.iter().chain(&wanted).map(|(path, _)| path);
        for path in paths {
            prop_assert_eq!(lines(&after, path), lines(&wanted, path), "{}", path.display());
        }
        // Only comments of what is gone or changes may be gone; the others stay where they were, before the same lines.
        let places: Vec<_> = differing(&loaded.state, &live).iter().filter_map(|(id, _)| loaded.state.get(id)?.place).collect();
        for (file, (path, text)) in texts.iter().enumerate() {
            let new = after.iter().find(|(known, _)| known == path).map_or("", |(_, text)| text);
            // A file of which nothing is left is gone with all that it held.
            let mut at = if new.is_empty() { text.len() } else { 0 };
            let mut lines: Vec<(&str, bool)> = Vec::new();
            for line in text.get(at..).unwrap_or("").split_inclusive('\n') {
                let end = at + line.len();
                let here = places.iter().filter(|place| place.file as usize == file);
                let theirs = here.map(|place| (place.start as usize, place.end as usize)).any(|(from, to)| {
                    // The line above belongs to it.
                    text[..from].trim_end().rfind('\n').map_or(0, |at| at + 1) <= at && end <= to
                });
                lines.push((line, theirs));
                at = end;
            }
            let (now, mut from) = (new.split_inclusive('\n').collect::<Vec<_>>(), 0);
            for (line, &(comment, theirs)) in lines.iter().enumerate() {
                if theirs || !comment.trim_start().starts_with("// about") {
                    continue;
                }
                let found = now[from..].iter().position(|line| *line == comment);
                prop_assert!(found.is_some(), "no {comment} in\n{new}\nbefore\n{text}");
                from += found.unwrap_or(0) + 1;
                // A line may have lost its block.
                if let Some((about, false)) = lines.get(line + 1).filter(|(about, _)| now.contains(about)) {
                    prop_assert_eq!(now.get(from), Some(about), "in\n{}\nbefore\n{}", new, text);
                }
            }
        }
    }
}
