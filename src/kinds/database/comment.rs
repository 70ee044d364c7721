//! Comments on any object: `comment "…"`.

use crate::catalog::{Book, Row, Version, class};
use crate::kinds::{Context, Disturbance, Folded, LockMode, Reaction, Room, Statement, acl, room, target};
use crate::model::{
    Address, Attr, Form, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, Text, Within, attr,
};
use crate::sql;

const TEXT: Key<Text> = Key::new("text");

/// What initdb says of schema public. It is template0's state, so files leave it out, and it comes back once they say nothing else.
const OF_PUBLIC: &str = "standard public schema";

static ATTRS: [Attr; 1] = [attr(TEXT, Shape::Text, Form::Argument, OnChange::Alter, "The comment.")];

pub static KIND: Kind = Kind {
    word: "comment",
    sql: "COMMENT",
    address: Address::Facet,
    within: Within::Any,
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: false,
    doc: "A comment on the object.",
};

pub struct Comment;
pub static ROOM: Comment = Comment;

impl Room for Comment {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn query(&self, _: Version) -> Option<String> {
        // CREATE EXTENSION comments the extension with what its control file says.
        Some(
            "SELECT classoid, objoid, objsubid, description FROM pg_description \
             WHERE (objoid >= 16384 OR (classoid = 2615 AND objoid = 2200)) \
             AND NOT (classoid = 3079 AND EXISTS (SELECT FROM pg_extension e JOIN pg_available_extensions() a ON a.name = e.extname \
                      WHERE e.oid = objoid AND a.comment = description))"
                .into(),
        )
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (class, oid, sub) = (row.oid(), row.oid(), row.next::<i32>());
        let parent = book.object(class, oid, sub)?;
        // The index of a key is not a separate object: a comment on it is not one on the key, but an `index-comment`.
        if class == class::PG_CLASS
            && matches!(parent.kind().namespace, Namespace::IndexConstraint | Namespace::PrimaryKey)
        {
            return None;
        }
        Some(ObjectId::facet(&KIND, parent.clone()))
    }

    fn read(&self, row: &mut Row, id: &ObjectId, _: &Book) -> Option<Object> {
        let text = row.text();
        let initial = id.parent().is_some_and(acl::is_initial) && &*text == OF_PUBLIC;
        let mut object = Object::default();
        object.attrs.set(TEXT, text);
        (!initial).then_some(object)
    }

    fn reaction(&self, _: &ObjectId, _: &Object, disturbance: &Disturbance) -> Reaction {
        disturbance.unless_retyped()
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], cx: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(vec![statement(id, &sql::literal(object.get(TEXT).map_or("", |t| t)), cx)])
    }

    fn alter(
        &self,
        id: &ObjectId,
        _: &Object,
        new: &Object,
        _: &[&'static str],
        cx: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        self.create(id, new, &[], cx)
    }

    fn drop(&self, id: &ObjectId, _: &Object, cx: &Context<'_>) -> Result<Vec<Statement>> {
        match id.parent().filter(|parent| room(parent.kind()).provides_unknown()) {
            Some(extension) => Ok(vec![control_file(extension)]),
            None if id.parent().is_some_and(acl::is_initial) => Ok(vec![statement(id, &sql::literal(OF_PUBLIC), cx)]),
            None => Ok(vec![statement(id, "NULL", cx)]),
        }
    }
}

/// Without a comment of the files, an extension has the one that CREATE EXTENSION gave it.
pub fn control_file(extension: &ObjectId) -> Statement {
    let (name, target) = (sql::literal(extension.name().as_str()), sql::literal(&sql::target(extension)));
    let body = format!(
        "BEGIN EXECUTE (SELECT format('COMMENT ON %s IS %L', {target}, comment) FROM pg_available_extensions WHERE name = {name}); END"
    );
    Statement::new(format!("DO {}", sql::literal(&body)))
}

fn statement(id: &ObjectId, text: &str, cx: &Context<'_>) -> Statement {
    let parent = id.parent().map_or_else(String::new, |parent| target::target(parent, cx));
    let statement = Statement::new(format!("COMMENT ON {parent} IS {text}"));
    // Of what stands on a table, only its columns, indexes and sequences are looked up by locking something.
    let locks = |on: &&ObjectId| {
        let kind = on.kind();
        kind.namespace == Namespace::Relation || kind.address == Address::MemberOf || kind.word == "identity"
    };
    match id.parent().filter(locks) {
        Some(on) => statement.locks(LockMode::ShareUpdateExclusive, on.root()),
        None => statement,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::State;

    #[test]
    fn an_extension_has_its_own_comment_back() {
        let state = State::default();
        let cx = Context::new(Version::major_release(15), &state);
        let extension = ObjectId::new(crate::kinds::find("extension").unwrap().kind(), None, "citext");
        let drop = ROOM.drop(&ObjectId::facet(&KIND, extension), &Object::default(), &cx).unwrap().remove(0);
        assert_eq!(
            drop.sql,
            "DO 'BEGIN EXECUTE (SELECT format(''COMMENT ON %s IS %L'', ''EXTENSION citext'', comment) \
             FROM pg_available_extensions WHERE name = ''citext''); END'"
        );
    }
}
