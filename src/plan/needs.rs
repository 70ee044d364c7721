//! What an object needs before it can be created: its references, its types, and the names found in its SQL.

use rustc_hash::{FxHashMap, FxHashSet};

use crate::kinds::{self, inheritance, refs::Refs, room};
use crate::model::{Address, Attrs, Namespace, Object, ObjectId, SqlType, State, Text, Value};
use crate::sql::{names, operators, signature, types};

/// The needs of one object.
#[derive(Debug, Default, Clone)]
pub struct Needs {
    /// Follow from the structure, so they are certain.
    pub hard: Vec<ObjectId>,
    /// Follow from names found in SQL text. There may be too many, so they are dropped where they form a cycle.
    pub soft: Vec<ObjectId>,
    /// Routines called by a body that PostgreSQL does not analyze: they need not exist.
    pub called: Vec<ObjectId>,
    /// True for a routine that calls itself in its own SQL: it would have to exist before it is created.
    pub itself: bool,
}

/// A state's names, for looking up what SQL text refers to.
pub struct Names<'a> {
    state: &'a State,
    named: FxHashMap<(&'a str, &'a str), Vec<&'a ObjectId>>,
    /// Relation → its columns.
    columns: FxHashMap<&'a ObjectId, Vec<&'a ObjectId>>,
    /// Types that are created along with an object of another name.
    others: FxHashMap<(Text, Text), &'a ObjectId>,
    /// True if there are operators to look for.
    operators: bool,
}

impl<'a> Names<'a> {
    /// Indexes a state.
    pub fn new(state: &'a State) -> Self {
        let mut named: FxHashMap<(&str, &str), Vec<&ObjectId>> = FxHashMap::default();
        let mut columns: FxHashMap<&ObjectId, Vec<&ObjectId>> = FxHashMap::default();
        let mut others: FxHashMap<(Text, Text), &ObjectId> = FxHashMap::default();
        for (id, object) in state.iter() {
            if let Some(other) = room(id.kind()).other_type(id, object)
                && let Some(schema) = other.schema()
            {
                others.insert((schema.name().text(), other.name().text()), id);
            }
            if let Some(relation) = id.parent().filter(|_| id.kind().address == Address::MemberOf) {
                columns.entry(relation).or_default().push(id);
            }
            if matches!(id.kind().address, Address::Qualified | Address::Routine | Address::PerMethod)
                && let Some(schema) = id.schema()
            {
                named.entry((schema.name().as_str(), id.name().as_str())).or_default().push(id);
            }
        }
        let operators = named.keys().any(|(_, name)| name.starts_with(operators::is_operator));
        Self { state, named, columns, others, operators }
    }

    /// What an object of the state needs.
    pub fn needs(&self, id: &ObjectId, object: &Object) -> Needs {
        let mut refs = Refs::default();
        collect(&object.attrs, &mut refs);
        room(id.kind()).refers(id, object, &mut refs);
        let mut needs = Needs::default();
        for wanted in refs.objects {
            // Whatever is dropped with the object is created with it.
            let part = room(wanted.kind()).vanishes_with(&wanted, self.state).as_ref() == Some(id);
            let found = std::iter::once(&wanted).chain(wanted.ancestors()).find(|i| self.state.has(i));
            if let Some(found) = found.filter(|_| !part) {
                push(&mut needs.hard, id, found);
                if found != &wanted {
                    inheritance::origins(self.state, &wanted)
                        .iter()
                        .for_each(|origin| push(&mut needs.hard, id, origin));
                }
            }
        }
        // An inherited column with attributes of its own exists with the parent's.
        if id.kind().address == Address::MemberOf {
            inheritance::origins(self.state, id).iter().for_each(|origin| push(&mut needs.hard, id, origin));
        }
        for found in room(id.kind()).rests_on(id, object, self.state) {
            push(&mut needs.hard, id, &found);
        }
        if let Some(signature) = id.types() {
            refs.types.extend(signature::split(signature).into_iter().map(SqlType::new));
        }
        for sql_type in &refs.types {
            for found in self.type_objects(sql_type, id) {
                push(&mut needs.hard, id, found);
            }
        }
        refs.texts
            .extend(object.by.iter().flat_map(|by| by.there.iter().chain(&by.back)).map(|text| text.as_str().into()));
        let own = id.schema().map_or("public", |s| s.name().as_str());
        for text in &refs.texts {
            self.in_text(text, own, &mut |found| {
                needs.itself |= found == id && id.kind().namespace == Namespace::Routine;
                push(&mut needs.soft, id, found);
            });
            // What a column is generated from is written without the table.
            let beside = id.parent().filter(|_| id.kind().address == Address::MemberOf);
            for column in beside.and_then(|table| self.columns.get(table)).into_iter().flatten() {
                if names::find(text).iter().any(|name| name.parts == [column.name().as_str()]) {
                    push(&mut needs.soft, id, column);
                }
            }
        }
        for body in &refs.bodies {
            self.in_text(body, own, &mut |found| {
                if found.kind().namespace == Namespace::Routine {
                    push(&mut needs.called, id, found);
                }
            });
        }
        needs.soft.retain(|n| !needs.hard.contains(n));
        needs.called.retain(|n| !needs.hard.contains(n) && !needs.soft.contains(n));
        needs
    }

    /// What a routine's body names, besides the routines that it calls.
    pub fn in_bodies(&self, id: &ObjectId, object: &Object) -> Vec<ObjectId> {
        let mut refs = Refs::default();
        room(id.kind()).refers(id, object, &mut refs);
        let own = id.schema().map_or("public", |schema| schema.name().as_str());
        let mut named = Vec::new();
        for body in &refs.bodies {
            self.in_text(body, own, &mut |found| push(&mut named, id, found));
        }
        named
    }

    /// The enum, domain, composite type … that a type text means. An unqualified name is looked up in the object's own schema and in `public`.
    fn type_objects(&self, sql_type: &SqlType, id: &ObjectId) -> Vec<&'a ObjectId> {
        let text = sql_type.as_str();
        let text = text.strip_prefix("SETOF ").unwrap_or(text);
        let Ok(parsed) = types::parse(text) else { return Vec::new() };
        let own = id.schema().map_or("public", |s| s.name().as_str()).to_string();
        let schemas = parsed.schema.map_or_else(|| vec![own, "public".into()], |s| vec![s]);
        let found = schemas.iter().find_map(|schema| self.named.get(&(schema.as_str(), parsed.name.as_str())));
        let mut found: Vec<&ObjectId> =
            found.into_iter().flatten().copied().filter(|id| kinds::IS_TYPE.contains(&id.kind().word)).collect();
        if found.is_empty() {
            found.extend(schemas.iter().find_map(|schema| self.other(schema, &parsed.name)));
        }
        found
    }

    /// The object that provides the type of that name.
    fn other(&self, schema: &str, name: &str) -> Option<&'a ObjectId> {
        if self.others.is_empty() {
            return None;
        }
        self.others.get(&(schema.into(), name.into())).copied()
    }

    fn in_text(&self, text: &str, own: &str, found: &mut dyn FnMut(&ObjectId)) {
        let operators = if self.operators { operators::find(text) } else { Vec::new() };
        for name in &operators {
            let (schemas, last) = match name.parts.as_slice() {
                [last] => (vec![own, "public"], last),
                [schema, last] => (vec![schema.as_str()], last),
                _ => continue,
            };
            // One of each schema may be meant, by the types of its operands.
            let ids = schemas.iter().filter_map(|schema| self.named.get(&(*schema, last.as_str())));
            ids.flatten().for_each(|id| found(id));
        }
        let all = names::find(text);
        let mut last_parts: FxHashSet<&str> = FxHashSet::default();
        last_parts.extend(all.iter().filter_map(|name| name.parts.last()).map(String::as_str));
        for name in &all {
            let (schemas, last) = match name.parts.as_slice() {
                [last] => (vec![own, "public"], last),
                [schema, last, ..] => (vec![schema.as_str()], last),
                [] => continue,
            };
            let ids = schemas.iter().find_map(|schema| self.named.get(&(*schema, last.as_str())));
            if ids.is_none()
                && let Some(id) = schemas.iter().find_map(|schema| self.other(schema, last))
            {
                found(id);
            }
            for id in ids.into_iter().flatten() {
                // A name before a parenthesis is a routine or constructs a value of a type; any other name is a relation, a type or a column.
                let called = matches!(id.kind().namespace, Namespace::Routine | Namespace::Type);
                let named = id.kind().namespace != Namespace::Routine;
                if (if name.call { called } else { named }) || name.parts.len() > 1 {
                    found(id);
                    // The columns of an existing relation that the text names may not exist yet.
                    let columns = self.columns.get(id).into_iter().flatten();
                    columns
                        .filter(|column| last_parts.contains(column.name().as_str()))
                        .for_each(|column| found(column));
                }
            }
        }
    }
}

fn push(list: &mut Vec<ObjectId>, id: &ObjectId, found: &ObjectId) {
    if found != id
        && !list.contains(found)
        && !id.ancestors().any(|a| a == found)
        && !found.ancestors().any(|a| a == id)
    {
        list.push(found.clone());
    }
}

fn collect(attrs: &Attrs, refs: &mut Refs) {
    attrs.iter().for_each(|(_, value)| collect_value(value, refs));
}

fn collect_value(value: &Value, refs: &mut Refs) {
    match value {
        Value::Ref(id) => refs.object(id.clone()),
        Value::Type(t) => refs.sql_type(t),
        Value::Expr(e) => refs.names_in(e.0.clone()),
        Value::List(list) => list.iter().for_each(|v| collect_value(v, refs)),
        Value::Record(record) => collect(record, refs),
        _ => {}
    }
}
