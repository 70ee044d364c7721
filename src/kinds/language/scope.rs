//! The context in which a node is read: where it is, which names are known there, and where its objects and problems go.

use std::sync::LazyLock;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::kdl::{Node, Problem};
use crate::kinds::{BuiltIns, Room, find, rooms, schema};
use crate::model::{Address, Ident, Object, ObjectId, Span, SqlType, State, Text, Within};
use crate::sql::{reference, signature, types};

/// What one load collects.
#[derive(Default)]
pub struct Load {
    /// The objects read so far.
    pub state: State,
    /// Everything that is wrong.
    pub problems: Vec<Problem>,
    /// Every top-level name of every file, known before the first node is read: (schema, name) → kinds with that name.
    /// What is in no schema (extensions, the schemas themselves) has the schema `NO_SCHEMA`.
    pub declared: FxHashMap<(Text, Text), Vec<&'static str>>,
    /// Names taken in a schema's relation namespace and in a table's constraint namespace, for names that are left to us.
    pub taken: FxHashSet<(ObjectId, Text)>,
    /// The keys and indexes of each table, for what relies on one of them.
    pub keys: FxHashMap<ObjectId, Vec<ObjectId>>,
    /// Objects that no file declares, though files declare something on them, and where.
    pub theirs: FxHashMap<ObjectId, Span>,
    /// True if a file could not be read: whatever it declares is missing, so it is not known which names are wrong.
    pub incomplete: bool,
    /// Nodes that `finish` reads once all others are: their names or references depend on the rest.
    later: Vec<Later>,
    /// True while `finish` reads.
    finishing: bool,
    /// Types that were read before, by schema and text: a schema has many columns and few types.
    types: FxHashMap<(ObjectId, Text), SqlType>,
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
    /// True if extensions may bring objects that no file declares.
    pub fn has_extensions(&self) -> bool {
        self.declared.values().any(|words| words.contains(&"extension"))
    }

    /// Reads what was put off. Called once, after the last file.
    pub fn finish(&mut self) {
        self.finishing = true;
        let mut later = std::mem::take(&mut self.later);
        later.sort_by_key(|l| l.turn);
        for Later { room, node, schema, parent, .. } in later {
            room.parse(&node, &mut Scope { schema, parent, load: self });
        }
        self.finishing = false;
        self.state.objects_mut().sort_by_cached_key(|_, object| object.place.map(|p| (p.file, p.start)));
    }
}

/// The place of a node: its schema and the object whose node contains it.
pub struct Scope<'a> {
    /// The schema of unqualified names.
    pub schema: ObjectId,
    /// The object whose node contains this one.
    pub parent: Option<ObjectId>,
    /// What is collected.
    pub load: &'a mut Load,
}

impl Scope<'_> {
    /// The scope of the children of `parent`.
    pub fn inside<'b>(&'b mut self, parent: &ObjectId) -> Scope<'b> {
        Scope { schema: self.schema.clone(), parent: Some(parent.clone()), load: &mut *self.load }
    }

    /// True if something is wrong in the node of an object: what it lacks may appear there.
    pub fn is_doubtful(&self, id: &ObjectId) -> bool {
        let Some(place) = self.load.state.get(id).and_then(|object| object.place) else { return true };
        self.load.incomplete || self.load.problems.iter().any(|problem| place.holds(problem.span))
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
        if !self.is_taken(&id, span) {
            self.load.state.put(id, object);
        }
    }

    /// True, and a problem, if there is an object with that address.
    pub fn is_taken(&mut self, id: &ObjectId, span: Span) -> bool {
        let Some(first) = self.load.state.get(id) else { return false };
        let mut problem = Problem::new(span, format!("{id} is declared twice")).label("second declaration");
        problem.related = first.place.map(|place| (place, "the first declaration"));
        self.problem(problem.help("remove one of the two"));
        true
    }

    /// The address of a new object of `room` declared here.
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
    /// with candidates; a qualified name in a schema that the project does not declare is taken as it is, and so is one
    /// that an extension may have brought. A routine's reference ends with its input types, `f(integer)`.
    pub fn resolve(&mut self, kinds: &[&'static str], text: &str, span: Span) -> Option<ObjectId> {
        let routine = kinds.iter().any(|word| find(word).is_some_and(|r| r.kind().address == Address::Routine));
        let (path, types) = if routine { split_signature(text) } else { (text, None) };
        let parts = match reference::split(path) {
            Ok(parts) => parts,
            Err(why) => {
                self.problem(Problem::new(span, format!("`{text}` is not a valid reference: {why}")).label("here"));
                return None;
            }
        };
        let (schemas, name): (Vec<Text>, Text) = match parts.as_slice() {
            [name] => (vec![self.schema.name().text(), "public".into(), NO_SCHEMA.into()], name.clone()),
            [schema, name] => (vec![schema.clone()], name.clone()),
            _ => {
                let problem = Problem::new(span, format!("`{text}` has too many parts")).label("here");
                self.problem(problem.help("write `schema.name`"));
                return None;
            }
        };
        let built_ins = |test: &dyn Fn(BuiltIns) -> bool| {
            kinds.iter().any(|word| find(word).is_some_and(|room| test(room.built_ins())))
        };
        let hidden = parts.len() == 1 && built_ins(&|known| known.hide(&name));
        let found = schemas.iter().filter(|_| !hidden).find_map(|schema| {
            let words = self.load.declared.get(&(schema.clone(), name.clone()))?;
            words.iter().find(|word| kinds.contains(word)).map(|word| (schema.clone(), *word))
        });
        let (schema, word) = match (found, parts.as_slice()) {
            (Some(found), _) => found,
            (None, [schema, _]) if self.is_foreign(schema) => (schema.clone(), *kinds.first()?),
            (None, [_]) if built_ins(&|known| known.have(&name)) => ("pg_catalog".into(), *kinds.first()?),
            (None, [_]) if built_ins(&|known| matches!(known, BuiltIns::These(_))) && self.load.has_extensions() => {
                (self.schema.name().text(), *kinds.first()?)
            }
            _ => {
                self.unknown(kinds, text, span);
                return None;
            }
        };
        let kind = find(word)?.kind();
        let parent = (&*schema != NO_SCHEMA).then(|| schema::id(schema));
        if kind.address == Address::Routine {
            let signature = self.signature(types.unwrap_or(""), span);
            return Some(ObjectId::routine(kind, parent, name, signature));
        }
        Some(ObjectId::new(kind, parent, name))
    }

    /// True if objects may be in a schema that no file declares: it is not ours, or an extension put them there.
    pub fn is_foreign(&self, schema: &Text) -> bool {
        let ours = &**schema == "public" || self.load.declared.contains_key(&(NO_SCHEMA.into(), schema.clone()));
        !ours || self.load.has_extensions()
    }

    /// The types of a routine's reference, in the form that its address has.
    pub fn signature(&mut self, types: &str, span: Span) -> String {
        let types = signature::split(types);
        let normal: Vec<String> = types.iter().map(|t| self.sql_type(t, span).as_str().to_string()).collect();
        normal.join(", ")
    }

    /// Says that no file declares what a reference means, and what may have been meant.
    fn unknown(&mut self, kinds: &[&'static str], text: &str, span: Span) {
        if self.load.incomplete {
            return;
        }
        let message = format!("there is no {} `{text}`", kinds.join(" or "));
        let mut problem = Problem::new(span, message).label("not declared in any file");
        // Looking for candidates takes time; after a hundred problems they are not needed.
        if self.load.problems.len() < 100 {
            problem.help = self.candidates(kinds, text);
        }
        self.problem(problem);
    }

    /// A type as written here, in the model's form: built-in names folded, declared types qualified.
    pub fn sql_type(&mut self, text: &str, span: Span) -> SqlType {
        let key = (self.schema.clone(), Text::from(text));
        if let Some(known) = self.load.types.get(&key) {
            return known.clone();
        }
        match types::parse(text) {
            Ok(parsed) => {
                let own = self.schema.name().text();
                let declared = &self.load.declared;
                let sql_type = SqlType::new(parsed.normalised(|name| {
                    [own.clone(), "public".into()].into_iter().find(|schema| {
                        declared
                            .get(&(schema.clone(), Text::from(name)))
                            .is_some_and(|words| words.iter().any(|w| crate::kinds::IS_TYPE.contains(w)))
                    })
                }));
                match self.type_doubt(&parsed, text) {
                    Some(help) => {
                        let problem = Problem::new(span, format!("there is no type `{}`", parsed.name));
                        self.problem(problem.label("neither in the files nor in PostgreSQL").help(help));
                    }
                    None => drop(self.load.types.insert(key, sql_type.clone())),
                }
                sql_type
            }
            Err(why) => {
                let mut problem = Problem::new(span, format!("`{text}` is not a valid type: {why}")).label("here");
                if text.ends_with(',') {
                    problem = problem.help("arguments are separated by spaces: leave out the comma");
                }
                self.problem(problem);
                SqlType::new(text)
            }
        }
    }

    /// Reads the child nodes that are not attributes of `parent`'s kind (`own` are): each goes to the room of its word.
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
                let problem = self.stray_child(node, parent);
                self.problem(problem);
            }
        }
    }
}

/// The rooms whose nodes may appear in a node of the kind `word`.
pub fn rooms_in(word: &str) -> impl Iterator<Item = &'static dyn Room> + use<> {
    // Asked for every node and property: the answer is worked out once per kind.
    static INSIDE: LazyLock<FxHashMap<&'static str, Vec<&'static dyn Room>>> = LazyLock::new(|| {
        let words = rooms().iter().map(|room| room.kind().word);
        words.map(|word| (word, rooms().iter().copied().filter(|room| may_stand_in(*room, word)).collect())).collect()
    });
    INSIDE.get(word).map_or(&[][..], Vec::as_slice).iter().copied()
}

fn may_stand_in(room: &dyn Room, word: &str) -> bool {
    match room.kind().within {
        Within::Of(words) => words.contains(&word),
        Within::Any => true,
        Within::Top | Within::Schema => false,
    }
}

/// The room of a word whose nodes are in schemas.
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

/// The schema of names that are in none, in `Load::declared`.
pub const NO_SCHEMA: &str = "";

/// `f(integer, text)` taken apart at the first parenthesis outside of quotes.
pub fn split_signature(text: &str) -> (&str, Option<&str>) {
    let mut quoted = false;
    let open = text.find(|c| {
        quoted ^= c == '"';
        c == '(' && !quoted
    });
    match open {
        Some(open) => (text[..open].trim_end(), text[open + 1..].trim_end().strip_suffix(')')),
        None => (text, None),
    }
}

/// `a` or `an`.
pub fn article(word: &str) -> &'static str {
    if word.starts_with(['a', 'e', 'i', 'o']) { "an" } else { "a" }
}
