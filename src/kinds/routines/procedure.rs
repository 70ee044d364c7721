//! Procedures: `procedure purge language=plpgsql { arg days integer; body … }`.

use crate::catalog::{Book, Row, Version};
use crate::kdl::Node;
use crate::kinds::held::{self, Held};
use crate::kinds::refs::Refs;
use crate::kinds::rights::Demand;
use crate::kinds::scope::Scope;
use crate::kinds::{Context, Disturbance, Folded, Reaction, Room, Statement};
use crate::model::{Address, Attr, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Within};

use super::routine;

pub static KIND: Kind = Kind {
    word: "procedure",
    sql: "PROCEDURE",
    address: Address::Routine,
    within: Within::Schema,
    namespace: Namespace::Routine,
    attrs: &routine::PROCEDURE,
    folds: false,
    doc: "A procedure. Procedures with the same name are distinguished by their input types.",
};

pub struct Procedure;
pub static ROOM: Procedure = Procedure;

impl Room for Procedure {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn held(&self) -> Option<&'static Held> {
        Some(&held::PG_PROC)
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        routine::parse(&KIND, node, scope);
    }

    fn write(&self, id: &ObjectId, object: &Object, inner: Vec<Node>) -> Option<Node> {
        Some(routine::write(id, object, inner))
    }

    fn query(&self, server: Version) -> Option<String> {
        Some(routine::query(server, "'p'"))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        routine::name(&KIND, row, book)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, _: &Book) -> Option<Object> {
        Some(routine::read(&KIND, row))
    }

    fn on_change(&self, attr: &'static Attr, old: &Object, new: &Object) -> OnChange {
        routine::on_change(attr, old, new)
    }

    fn rights(&self, id: &ObjectId, object: &Object, changed: Option<&[&'static str]>) -> Vec<Demand> {
        routine::rights(id, object, changed.is_some())
    }

    fn refers(&self, _: &ObjectId, object: &Object, refs: &mut Refs) {
        routine::refers(object, refs);
    }

    fn placeholder(&self, object: &Object) -> Option<Object> {
        Some(routine::placeholder(object))
    }

    fn reaction(&self, _: &ObjectId, object: &Object, disturbance: &Disturbance) -> Reaction {
        routine::reaction(object, disturbance)
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(routine::create(id, object))
    }

    fn alter(
        &self,
        id: &ObjectId,
        _: &Object,
        new: &Object,
        _: &[&'static str],
        _: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        Ok(routine::alter(id, new))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{schema, scope::Load};
    use crate::model::State;

    #[test]
    fn reads_creates_and_drops() {
        let mut load = Load::default();
        let inout = Node::new("arg").arg("b").arg("int").prop("mode", "inout").prop("default", "0");
        let node = Node::new("procedure").arg("p").prop("language", "plpgsql").arg("security-definer");
        let node = node.child(Node::new("arg").arg("a").arg("int")).child(inout);
        let node = node.child(Node::new("body-exact").arg("begin b:=a; end"));
        ROOM.parse(&node, &mut Scope { schema: schema::id("public"), parent: None, load: &mut load });
        assert!(load.problems.is_empty(), "{:?}", load.problems);
        let (id, object) = load.state.iter().next().unwrap();
        let state = State::default();
        let cx = Context::new(Version::major_release(15), &state);
        let rest = "PROCEDURE public.p(a integer, INOUT b integer DEFAULT 0)\n    \
                    LANGUAGE plpgsql SECURITY DEFINER\n    AS $$begin b:=a; end$$";
        assert_eq!(ROOM.create(id, object, &[], &cx).unwrap()[0].sql, format!("CREATE {rest}"));
        assert_eq!(ROOM.alter(id, object, object, &[], &cx).unwrap()[0].sql, format!("CREATE OR REPLACE {rest}"));
        assert_eq!(ROOM.drop(id, object, &cx).unwrap()[0].sql, "DROP PROCEDURE public.p(integer, integer)");
        assert_eq!(
            ROOM.rename(id, &id.renamed("q"), object, &cx).unwrap()[0].sql,
            "ALTER PROCEDURE public.p(integer, integer) RENAME TO q"
        );
    }
}
