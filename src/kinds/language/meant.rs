//! Suggests what an unknown word, name or type was meant to be: candidates for spelling mistakes, and for words from elsewhere.

use crate::kdl::{Arg, Node, Problem, Prop, Scalar};
use crate::kinds::{IS_TYPE, find, rooms};
use crate::model::{Address, Attr, Form, ObjectId, Shape, Text, Within};
use crate::sql::types;

use super::habits;
use super::scope::{NO_SCHEMA, Scope, article, rooms_in};

/// At most so many names are shown of those that may have been meant.
const MAX_CANDIDATES: usize = 8;

/// Where the nodes of a kind belong, for one that is elsewhere.
pub fn where_it_stands(word: &str) -> Option<String> {
    let room = rooms().iter().find(|room| room.kind().word == word || room.words().contains(&word))?;
    Some(match room.kind().within {
        Within::Top => "it belongs at the top level of a file".into(),
        Within::Schema => "it belongs at the top level of a file, or in a `schema` block".into(),
        Within::Any => "it belongs in the object that it is about".into(),
        Within::Of(words) => {
            let mut names: Vec<String> = words.iter().map(|word| format!("{} `{word}`", article(word))).collect();
            let last = names.pop()?;
            if names.is_empty() {
                format!("it belongs in {last}")
            } else {
                format!("it belongs in {} or {last}", names.join(", "))
            }
        }
    })
}

impl Scope<'_> {
    /// What may have been meant by a name that no file declares as one of `kinds`.
    pub(in crate::kinds) fn candidates(&self, kinds: &[&'static str], text: &str) -> Option<String> {
        let bare = |schema: &str| schema == "public" || schema == NO_SCHEMA;
        let full =
            |(schema, name): &(Text, Text)| if bare(schema) { name.to_string() } else { format!("{schema}.{name}") };
        let known = self.load.declared.iter().filter(|(_, words)| words.iter().any(|w| kinds.contains(w)));
        let mut names: Vec<String> = known.map(|(at, _)| full(at)).collect();
        names.sort();
        let mut others = self.load.declared.iter().filter(|(at, _)| full(at) == text).flat_map(|(_, words)| words);
        if let Some(near) = nearest(text, names.iter().map(String::as_str)) {
            Some(format!("did you mean `{near}`?"))
        } else if let Some(full) = names.iter().find(|n| n.rsplit('.').next() == Some(text)) {
            Some(format!("there is `{full}` in another schema"))
        } else if let Some(word) = others.next() {
            Some(format!(
                "`{text}` is {} {word}; {} {} is expected here",
                article(word),
                article(kinds[0]),
                kinds.join(" or ")
            ))
        } else if kinds.iter().any(|word| find(word).is_some_and(|r| r.kind().address == Address::Routine)) {
            Some(format!("objects of PostgreSQL itself have a schema: `pg_catalog.{text}`"))
        } else if names.is_empty() {
            Some(format!("declare it: `{} {text} {{ … }}`", kinds.first()?))
        } else {
            let more = if names.len() > MAX_CANDIDATES { ", …" } else { "" };
            names.truncate(MAX_CANDIDATES);
            Some(format!("declared: {}{more}", names.join(", ")))
        }
    }

    /// What was meant by a type that neither a file nor PostgreSQL has, as far as that is plain: others may be in the database.
    pub(in crate::kinds) fn type_doubt(&self, parsed: &types::Parsed, text: &str) -> Option<String> {
        let name = parsed.name.as_str();
        if parsed.schema.is_some() || text.contains('"') || types::is_known(name) || self.load.incomplete {
            return None;
        }
        let declared = |schema: &str| {
            let words = self.load.declared.get(&(schema.into(), name.into()));
            words.is_some_and(|words| words.iter().any(|w| IS_TYPE.contains(w)))
        };
        if declared(self.schema.name().as_str()) || declared("public") {
            return None;
        }
        if types::serial(name).is_some() {
            return Some("only a column can have it".into());
        }
        if let Some(ours) = habits::type_meant(name) {
            return Some(format!("PostgreSQL's is `{ours}`"));
        }
        let own = self.schema.name();
        let known = self.load.declared.iter().filter(|(_, words)| words.iter().any(|w| IS_TYPE.contains(w)));
        let (here, there): (Vec<_>, Vec<_>) =
            known.map(|(at, _)| at).partition(|(schema, _)| &**schema == "public" || **schema == *own.as_str());
        if let Some((schema, name)) = there.iter().find(|(_, other)| &**other == name) {
            return Some(format!("there is `{schema}.{name}` in another schema"));
        }
        let near =
            nearest(name, here.iter().map(|(_, name)| &**name).chain(types::names().map(|name| -> &str { name })))?;
        Some(format!("did you mean `{near}`?"))
    }

    /// A child node that nothing in its parent's kind reads.
    pub(in crate::kinds) fn stray_child(&self, node: &Node, parent: &ObjectId) -> Problem {
        let (kind, word) = (parent.kind(), &*node.name);
        let message = format!("`{word}` is not allowed in {} {}", article(kind.word), kind.word);
        let problem = Problem::new(node.name_span, message).label("unknown here");
        if let Some(attr) = kind.attr(word) {
            return problem.help(match attr.form {
                Form::Property => format!("it is a property: `{} NAME {word}=…`", kind.word),
                Form::Flag => format!("it is a bare word: `{} NAME {word}`", kind.word),
                _ => format!("its value comes after the name: `{} NAME {}`", kind.word, word.to_uppercase()),
            });
        }
        if matches!(kind.word, "table" | "foreign-table") {
            let args: Vec<&str> = node.args.iter().filter_map(|arg| arg.as_text()).map(|t| &**t).collect();
            match args.as_slice() {
                [sql_type, ..] if self.names_type(sql_type) => {
                    return problem.help(format!("a column is `column {word} {sql_type}`"));
                }
                [name, ..] if types::names().any(|known| known == word.to_lowercase()) => {
                    return problem.help(format!("a column is `column {name} {word}`"));
                }
                _ => {}
            }
        }
        if let Some(help) = habits::help(word, kind.word) {
            return problem.help(help);
        }
        let words = rooms_in(kind.word).flat_map(|room| room.words().iter().copied().chain([room.kind().word]));
        let attrs = kind.attrs.iter().filter(|a| matches!(a.form, Form::Child | Form::Repeated)).map(|a| a.name);
        let mut known: Vec<&str> = words.chain(attrs).collect();
        if kind.address == Address::Schema {
            known.extend(rooms().iter().map(|room| room.kind()).filter(|k| k.within == Within::Schema).map(|k| k.word));
        }
        if let Some(near) = nearest(word, known.iter().copied()) {
            return problem.help(format!("did you mean `{near}`?"));
        }
        match where_it_stands(word) {
            Some(place) => problem.help(place),
            None if kind.attrs.iter().any(|a| a.form == Form::Arguments && matches!(a.shape, Shape::Texts)) => {
                problem.help(format!("it comes after the name: `{} NAME {word} …`", kind.word))
            }
            None => problem,
        }
    }

    /// True if a text is a type that PostgreSQL or a file has.
    fn names_type(&self, text: &str) -> bool {
        let name = types::parse(text).map(|t| t.name).unwrap_or_default();
        let declared =
            |(at, words): (&(Text, Text), &Vec<&str>)| *at.1 == *name && words.iter().any(|w| IS_TYPE.contains(w));
        // Few columns have the type `name`, and many are called so.
        types::names().any(|known| known == name && known != "name") || self.load.declared.iter().any(declared)
    }
}

/// An argument that no attribute takes.
pub(in crate::kinds) fn stray_argument(attrs: &'static [Attr], what: &str, arg: &Arg) -> Problem {
    let word = arg.as_text().map_or("", |t| t);
    let problem = Problem::new(arg.span, format!("{} {what} takes no such argument", article(what)));
    let problem = problem.label("not expected here");
    let flags: Vec<&str> =
        attrs.iter().filter(|a| a.form == Form::Flag).map(|a| a.name).chain(short_flags(what)).collect();
    if let Some(help) = habits::help(word, what) {
        return problem.help(help);
    }
    if let (Scalar::Int(_) | Scalar::Number(_), Some(help)) = (&arg.value, habits::help("length", what)) {
        return problem.help(help);
    }
    if let Some(query) = attrs.iter().find(|a| matches!(a.shape, Shape::Query)).filter(|_| word.contains(' ')) {
        return problem.help(format!("it is a child node: `{{ {} \"…\" }}`", query.name));
    }
    if word == "was" || properties(attrs, what).any(|name| name == word) {
        return problem.help(format!("write `{word}=…`"));
    }
    match nearest(word, flags.iter().copied()) {
        Some(near) => problem.help(format!("did you mean `{near}`?")),
        None if flags.is_empty() => problem,
        None => problem.help(format!("bare words of {} {what}: {}", article(what), flags.join(", "))),
    }
}

/// A property that no attribute is.
pub(in crate::kinds) fn stray_property(attrs: &'static [Attr], what: &str, prop: &Prop) -> Problem {
    let message = format!("{} {what} has no property `{}`", article(what), prop.name);
    let problem = Problem::new(prop.name_span, message).label("unknown");
    if let Some(attr) = attrs.iter().find(|a| a.name == &*prop.name) {
        return problem.help(match attr.form {
            Form::Child | Form::Repeated => format!("it is a child node: `{{ {} … }}`", attr.name),
            _ => format!("it comes after the name: `{what} …`"),
        });
    }
    if let Some(help) = habits::help(&prop.name, what) {
        return problem.help(help);
    }
    if short_flags(what).any(|word| word == &*prop.name) {
        return problem.help(format!("write the bare word `{}`, or leave it out", prop.name));
    }
    if rooms_in(what).any(|room| room.kind().word == &*prop.name) {
        return problem.help(format!("it is a child node: `{{ {} … }}`", prop.name));
    }
    let flags = attrs.iter().filter(|a| a.form == Form::Flag).map(|a| a.name);
    if let Some(near) = nearest(&prop.name, properties(attrs, what)) {
        problem.help(format!("did you mean `{near}`?"))
    } else if let Some(near) = nearest(&prop.name, flags) {
        problem.help(format!("did you mean `{near}`, a bare word?"))
    } else {
        problem
    }
}

/// The names that properties may have: of attributes, and of facets that are one value.
fn properties(attrs: &'static [Attr], what: &str) -> impl Iterator<Item = &'static str> {
    let facets = rooms_in(what).map(|room| room.kind()).filter(|kind| kind.address == Address::Facet && kind.folds);
    let own = attrs.iter().filter(|a| a.form == Form::Property).map(|a| a.name);
    own.chain(facets.map(|kind| kind.word))
        .chain((what == "column").then_some(["references", "check"]).into_iter().flatten())
}

/// Constraints that a column declares with a bare word.
pub fn short_flags(what: &str) -> impl Iterator<Item = &'static str> + use<> {
    (what == "column").then_some(["primary-key", "unique"]).into_iter().flatten()
}

/// Longer words are not misspelled ones: a name has 63 bytes.
const LONGEST: usize = 100;

/// The nearest of the known words, if any is near enough to be what was meant.
pub fn nearest<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = habits::plain(word);
    let length = word.chars().count();
    if length > LONGEST {
        return None;
    }
    // Of a single letter nothing would be left.
    let limit = (1 + length / 4).min(length.saturating_sub(1));
    let near = |known: &str| {
        let known = habits::plain(known);
        (known.chars().count().abs_diff(length) <= limit).then(|| distance(&word, &known))
    };
    known.into_iter().filter_map(|k| Some((near(k)?, k))).filter(|(d, _)| *d <= limit).min().map(|(_, k)| k)
}

/// Edits (insert, delete, replace, swap of neighbours) between two words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows: Vec<Vec<usize>> = vec![(0..=b.len()).collect()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let same = usize::from(a[i - 1] != b[j - 1]);
            let mut best = (rows[i - 1][j] + 1).min(row[j - 1] + 1).min(rows[i - 1][j - 1] + same);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}
