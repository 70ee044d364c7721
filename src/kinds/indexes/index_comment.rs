//! Comments on the index behind a primary key or unique constraint, which are separate from the constraint's own: `index-comment "…"`.

use crate::catalog::{Book, Row, Version, class};
use crate::kinds::{Context, Folded, LockMode, Room, Statement};
use crate::model::{
    Address, Attr, Attrs, Form, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, Text, Within,
    attr,
};
use crate::sql;

const TEXT: Key<Text> = Key::new("text");

static ATTRS: [Attr; 1] = [attr(TEXT, Shape::Text, Form::Argument, OnChange::Alter, "The comment.")];

pub static KIND: Kind = Kind {
    word: "index-comment",
    sql: "COMMENT ON INDEX",
    address: Address::Facet,
    within: Within::Of(&["primary-key", "unique", "exclude"]),
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: false,
    doc: "A comment on the index of a key; `comment` is about the constraint.",
};

pub struct IndexComment;
pub static ROOM: IndexComment = IndexComment;

impl Room for IndexComment {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn query(&self, _: Version) -> Option<String> {
        Some(
            "SELECT k.oid, d.description FROM pg_description d JOIN pg_constraint k ON k.conindid = d.objoid \
             AND k.contype IN ('p', 'u', 'x') WHERE d.classoid = 1259 AND d.objsubid = 0 AND d.objoid >= 16384 ORDER BY k.oid"
                .into(),
        )
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        Some(ObjectId::facet(&KIND, book.get(class::PG_CONSTRAINT, row.oid())?.clone()))
    }

    fn read(&self, row: &mut Row, _: &ObjectId, _: &Book) -> Option<Object> {
        Some(Object::new(Attrs::new().with(TEXT, row.text())))
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(statement(id, &sql::literal(object.get(TEXT).map_or("", |text| text))))
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

    fn drop(&self, id: &ObjectId, _: &Object, _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(statement(id, "NULL"))
    }
}

fn statement(id: &ObjectId, text: &str) -> Vec<Statement> {
    let Some(key) = id.parent() else { return vec![] };
    let statement = Statement::new(format!("COMMENT ON INDEX {} IS {text}", sql::schema_path(key, key.name())));
    vec![statement.locks(LockMode::ShareUpdateExclusive, key.root())]
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{create, round_trip};

    #[test]
    fn it_is_written_and_created() {
        let state = round_trip(
            "table t {\n    column a integer not-null\n    primary-key a {\n        comment \"the key\"\n        index-comment \"its index\"\n    }\n}\n",
        );
        assert_eq!(create(&state, "index-comment"), ["COMMENT ON INDEX public.t_pkey IS 'its index'"]);
    }
}
