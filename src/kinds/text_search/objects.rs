//! What text search objects share: the room for those that consist only of functions, and the names of PostgreSQL's built-in ones.

use crate::catalog::{Book, Row, Version};
use crate::kdl::{Arg, Node, Problem};
use crate::kinds::scope::{Scope, Turn};
use crate::kinds::{BuiltIns, Context, Folded, Need, Room, Statement, find, generic, room, schema, support};
use crate::model::{Key, KindRef, Object, ObjectId, Result, Text};
use crate::sql;

/// The room of parsers or templates.
pub struct OfFunctions {
    /// The kind.
    pub kind: KindRef,
    /// Its functions, in the order of CREATE.
    pub functions: &'static [Function],
    /// So many of them, from the first on, are not optional.
    pub needed: usize,
    /// PostgreSQL's own ones.
    pub built_ins: BuiltIns,
    /// The OID of its catalog.
    pub class: u32,
    /// The catalog, and what the names of its columns begin with.
    pub catalog: (&'static str, &'static str),
}

/// A function of such an object.
pub struct Function {
    /// Its attribute.
    pub key: Key<ObjectId>,
    /// Its word in SQL.
    pub word: &'static str,
    /// The rest of its column's name.
    pub column: &'static str,
    /// Its input types.
    pub takes: &'static [&'static str],
}

impl OfFunctions {
    fn keys(&self) -> Vec<Key<ObjectId>> {
        self.functions.iter().map(|function| function.key).collect()
    }

    fn takes(&self, key: Key<ObjectId>) -> Vec<Text> {
        let found = self.functions.iter().find(|function| function.key.name == key.name);
        found.map_or_else(Vec::new, |function| function.takes.iter().map(|t| Text::from(*t)).collect())
    }
}

impl Room for OfFunctions {
    fn kind(&self) -> KindRef {
        self.kind
    }

    fn need(&self) -> Need {
        Need::Superuser
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        // Functions are known once everything is read.
        if scope.put_off(Turn::NamedReference, room(self.kind), node) {
            return;
        }
        let keys = self.keys();
        let mut rest = node.clone();
        let said = support::take(&mut rest, &keys);
        for key in keys.iter().take(self.needed).filter(|key| node.get_prop(key.name).is_none()) {
            let problem = Problem::new(node.name_span, format!("this {} has no function `{}`", node.name, key.name));
            scope.problem(problem.help(format!("write `{}=…`", key.name)));
        }
        generic::parse(self.kind, &rest, scope);
        let Some(id) = node.args.first().and_then(Arg::as_text).map(|name| scope.id(self, name.clone())) else {
            return;
        };
        for key in keys {
            let Some(prop) = said.iter().find(|prop| &*prop.name == key.name) else { continue };
            let function = support::resolve(&prop.value, &self.takes(key), scope);
            if let Some(object) = scope.load.state.objects_mut().get_mut(&id) {
                object.attrs.set(key, function);
            }
        }
    }

    fn write(&self, id: &ObjectId, object: &Object, inner: Vec<Node>) -> Option<Node> {
        let mut node = generic::write(id, object, inner);
        support::write(&mut node, id, object, &self.keys(), |key| self.takes(key));
        Some(node)
    }

    fn built_ins(&self) -> BuiltIns {
        self.built_ins
    }

    fn query(&self, _: Version) -> Option<String> {
        let (catalog, prefix) = self.catalog;
        let column = |function: &Function| support::columns(&format!("o.{prefix}{}::oid", function.column));
        let functions: Vec<String> = self.functions.iter().map(column).collect();
        Some(format!(
            "SELECT o.oid, o.{prefix}namespace, o.{prefix}name, {} FROM {catalog} o WHERE o.oid >= 16384 ORDER BY o.oid",
            functions.join(", ")
        ))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, schema, name) = (row.oid(), row.oid(), row.text());
        if book.is_member(self.class, oid) {
            return None;
        }
        let id = ObjectId::new(self.kind, Some(book.schema(schema)?.clone()), name);
        book.add(self.class, oid, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, book: &Book) -> Option<Object> {
        let mut object = Object::default();
        for key in self.keys() {
            object.attrs.set(key, support::read(row, book));
        }
        Some(object)
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        let said = self.functions.iter().filter_map(|function| Some((function.word, object.get(function.key)?)));
        let parts: Vec<String> = said.map(|(word, function)| format!("{word} = {}", support::name(function))).collect();
        Ok(vec![Statement::new(format!("CREATE {} ({})", sql::target(id), parts.join(", ")))])
    }

    /// Nothing of them can be altered in place.
    fn alter(
        &self,
        _: &ObjectId,
        _: &Object,
        _: &Object,
        _: &[&'static str],
        _: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        Ok(vec![])
    }
}

/// The address of an object of that kind, if there is such a kind.
pub fn id(word: &str, home: &str, name: &str) -> Option<ObjectId> {
    Some(ObjectId::new(find(word)?.kind(), Some(schema::id(home)), name))
}

/// Its name in SQL: what is in `pg_catalog` is found before all else.
pub fn name(id: &ObjectId) -> String {
    match id.schema().filter(|schema| schema.name().as_str() != "pg_catalog") {
        Some(_) => sql::path(id),
        None => sql::name(id.name()).to_string(),
    }
}
