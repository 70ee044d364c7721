//! Where a node stands while it is read, which names are known there, and where its objects and problems go.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::kdl::{Node, Problem};
use crate::model::{Ident, Object, ObjectId, Span, SqlType, State, Text, Within};
use crate::sql::{reference, types};

use super::{Room, find, generic, rooms, schema};

/// What one load collects.
#[derive(Default)]
pub struct Load {
    /// The objects read so far.
    pub state: State,
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
    /// Every top-level name of every file, known before the first node is read: (schema, name) → kinds with that name.
    pub declared: FxHashMap<(Text, Text), Vec<&'static str>>,
    /// Names taken in a schema's relation namespace and in a table's constraint namespace, for names that are left to us.
    pub taken: FxHashSet<(ObjectId, Text)>,
    /// Nodes that `finish` reads once all others are: their names or references depend on the rest.
    later: Vec<Later>,
    /// True while `finish` reads.
    finishing: bool,
}

/// A node that is read after all others.
struct Later {
    turn: Turn,
    room: &'static dyn Room,
    node: Node,
    schema: ObjectId,
    parent: Option<ObjectId>,
}

/// When a node is read that was put off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Turn {
    /// Parts with a name of their own.
    Named,
    /// Parts that are named around those.
    Unnamed,
    /// What looks for a key of another table.
    NamedReference,
    /// The same without a name of its own.
    UnnamedReference,
}

impl Load {
    /// Reads what was put off. Called once, after the last file.
    pub fn finish(&mut self) {
        self.finishing = true;
        let mut later = std::mem::take(&mut self.later);
        later.sort_by_key(|l| l.turn);
        for Later { room, node, schema, parent, .. } in later {
            room.parse(&node, &mut Scope { schema, parent, load: self });
        }
        self.finishing = false;
    }
}

/// The place of a node: its schema and the object in whose node it stands.
pub struct Scope<'a> {
    /// The schema of unqualified names.
    pub schema: ObjectId,
    /// The object in whose node this one stands.
    pub parent: Option<ObjectId>,
    /// What is collected.
    pub load: &'a mut Load,
}

impl Scope<'_> {
    /// The scope of the children of `parent`.
    pub fn inside<'b>(&'b mut self, parent: &ObjectId) -> Scope<'b> {
        Scope { schema: self.schema.clone(), parent: Some(parent.clone()), load: &mut *self.load }
    }

    /// Puts the node off until everything else is read; `false`: that is now.
    pub fn put_off(&mut self, turn: Turn, room: &'static dyn Room, node: &Node) -> bool {
        if self.load.finishing {
            return false;
        }
        let (schema, parent) = (self.schema.clone(), self.parent.clone());
        self.load.later.push(Later { turn, room, node: node.clone(), schema, parent });
        true
    }

    /// Something is wrong.
    pub fn problem(&mut self, problem: Problem) {
        self.load.problems.push(problem);
    }

    /// Adds an object; a second one with the same address is a problem.
    pub fn put(&mut self, id: ObjectId, mut object: Object, span: Span) {
        object.place.get_or_insert(span);
        if self.load.state.has(&id) {
            self.problem(
                Problem::new(span, format!("{id} is declared twice"))
                    .label("second declaration")
                    .help("remove one of the two"),
            );
        } else {
            self.load.state.put(id, object);
        }
    }

    /// The address of a new object of `room` that stands here.
    pub fn id(&self, room: &dyn Room, name: impl Into<Ident>) -> ObjectId {
        let kind = room.kind();
        let parent = match kind.within {
            Within::Top => None,
            Within::Schema => Some(self.schema.clone()),
            Within::Of(_) | Within::Any => self.parent.clone(),
        };
        ObjectId::new(kind, parent, name)
    }

    /// Resolves a reference to one of `kinds` (words): its own schema first, then `public`. Unknown names are a problem
    /// with candidates; a qualified name in a schema that the project does not declare is taken as it is.
    pub fn resolve(&mut self, kinds: &[&'static str], text: &str, span: Span) -> Option<ObjectId> {
        let parts = match reference::split(text) {
            Ok(parts) => parts,
            Err(why) => {
                self.problem(Problem::new(span, format!("`{text}` is no reference: {why}")));
                return None;
            }
        };
        let (schemas, name): (Vec<Text>, Text) = match parts.as_slice() {
            [name] => (vec![self.schema.name().text(), "public".into()], name.clone()),
            [schema, name] => (vec![schema.clone()], name.clone()),
            _ => {
                self.problem(Problem::new(span, format!("`{text}` has too many parts")).help("write `schema.name`"));
                return None;
            }
        };
        for schema in &schemas {
            if let Some(found) = self.load.declared.get(&(schema.clone(), name.clone())) {
                if let Some(kind) = found.iter().find(|word| kinds.contains(word)) {
                    let kind = find(kind)?.kind();
                    return Some(ObjectId::new(kind, Some(schema::id(schema.clone())), name));
                }
            }
        }
        if let ([schema, name], Some(room)) = (parts.as_slice(), kinds.first().and_then(|word| find(word))) {
            if !self.load.declared.keys().any(|(s, _)| s == schema) {
                return Some(ObjectId::new(room.kind(), Some(schema::id(schema.clone())), name.clone()));
            }
        }
        let wanted = kinds.join(" or ");
        let known = self.load.declared.iter().filter(|(_, words)| words.iter().any(|w| kinds.contains(w)));
        let names: Vec<String> =
            known.map(|((s, n), _)| if **s == *"public" { n.to_string() } else { format!("{s}.{n}") }).collect();
        let mut problem =
            Problem::new(span, format!("there is no {wanted} `{text}`")).label("not declared in any file");
        if let Some(near) = generic::nearest(text, names.iter().map(String::as_str)) {
            problem = problem.help(format!("did you mean `{near}`?"));
        }
        self.problem(problem);
        None
    }

    /// A type as written here, in the model's form: built-in names folded, declared types qualified.
    pub fn sql_type(&mut self, text: &str, span: Span) -> SqlType {
        match types::parse(text) {
            Ok(parsed) => {
                let own = self.schema.name().text();
                let declared = &self.load.declared;
                SqlType::new(parsed.normalised(|name| {
                    [own.clone(), "public".into()].into_iter().find(|schema| {
                        declared
                            .get(&(schema.clone(), Text::from(name)))
                            .is_some_and(|words| words.iter().any(|w| super::IS_TYPE.contains(w)))
                    })
                }))
            }
            Err(why) => {
                self.problem(Problem::new(span, format!("`{text}` is no type: {why}")));
                SqlType::new(text)
            }
        }
    }

    /// Reads the child nodes that are no attributes of `parent`'s kind (`own` are): each goes to the room of its word.
    pub fn children(&mut self, nodes: &[Node], parent: &ObjectId, own: &[&str]) {
        for node in nodes.iter().filter(|n| !own.contains(&&*n.name)) {
            self.child(node, parent);
        }
    }

    /// Reads one child node by the room of its word.
    pub fn child(&mut self, node: &Node, parent: &ObjectId) {
        match rooms_in(parent.kind().word)
            .find(|room| room.kind().word == &*node.name || room.words().contains(&&*node.name))
        {
            Some(room) => room.parse(node, &mut self.inside(parent)),
            None => {
                let kind = parent.kind();
                let attrs = kind.attrs.iter().map(|a| a.name);
                let known: Vec<&str> = rooms_in(kind.word).map(|r| r.kind().word).chain(attrs).collect();
                let mut problem = Problem::new(
                    node.name_span,
                    format!("`{}` cannot stand in {} {}", node.name, article(kind.word), kind.word),
                )
                .label("unknown here");
                if let Some(near) = generic::nearest(&node.name, known.iter().copied()) {
                    problem = problem.help(format!("did you mean `{near}`?"));
                }
                self.problem(problem);
            }
        }
    }
}

/// The rooms whose nodes may stand in a node of the kind `word`.
pub fn rooms_in(word: &str) -> impl Iterator<Item = &'static dyn Room> {
    rooms().iter().copied().filter(move |room| match room.kind().within {
        Within::Of(words) => words.contains(&word),
        Within::Any => true,
        Within::Top | Within::Schema => false,
    })
}

/// The room of a word whose nodes stand in schemas.
pub fn in_schema(word: &str) -> Option<&'static dyn Room> {
    rooms()
        .iter()
        .copied()
        .find(|room| room.kind().within == Within::Schema && (room.kind().word == word || room.words().contains(&word)))
}

/// The id of a schema by name.
pub fn schema_id(name: impl Into<Text>) -> ObjectId {
    schema::id(name)
}

/// `a` or `an`.
pub fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o', 'u']) { "an" } else { "a" }
}
