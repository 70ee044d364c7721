//! Operator families: `operator-family integer_like using=btree { operator 1 "<(integer, bigint)" }`.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::Node;
use crate::kinds::held::Held;
use crate::kinds::scope::{Scope, Turn};
use crate::kinds::{Context, Folded, Need, Room, Statement, find, generic};
use crate::model::{
    Address, Attr, Form, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, Within, attr,
};
use crate::sql;

use super::operator_members::{self, FUNCTIONS_ATTR, IMPLIED, OPERATORS_ATTR, USING_ATTR};

static ATTRS: [Attr; 4] = [
    USING_ATTR,
    OPERATORS_ATTR,
    FUNCTIONS_ATTR,
    attr(IMPLIED, Shape::Flag, Form::Custom, OnChange::CreationOnly, "A class of its name stands for it; derived."),
];

pub static KIND: Kind = Kind {
    word: operator_members::FAMILY,
    sql: "OPERATOR FAMILY",
    address: Address::PerMethod,
    within: Within::Schema,
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: false,
    doc: "Operator classes whose types can be compared with each other, and what compares them. Only superusers may create one.",
};

static HELD: Held = Held {
    signature: "(SELECT m.amname::text FROM pg_am m WHERE m.oid = o.opfmethod)",
    ..Held::in_schema(class::PG_OPFAMILY, "pg_opfamily", "opf")
};

pub struct OperatorFamily;
pub static ROOM: OperatorFamily = OperatorFamily;

impl Room for OperatorFamily {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn held(&self) -> Option<&'static Held> {
        Some(&HELD)
    }

    fn need(&self) -> Need {
        Need::Superuser
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        // Operators and functions are known once everything is read.
        if scope.put_off(Turn::UnnamedReference, &ROOM, node) {
            return;
        }
        let Some(id) = operator_members::address(&KIND, node, scope) else { return };
        // A class may have stood for it.
        if scope.load.state.get(&id).is_some_and(|object| object.is(IMPLIED)) {
            let owner = find("owner").map(|room| ObjectId::facet(room.kind(), id.clone()));
            let objects = scope.load.state.objects_mut();
            objects.shift_remove(&id);
            owner.map(|owner| objects.shift_remove(&owner));
        }
        let (operators, functions) = operator_members::members(&id, node, None, scope);
        let Some(object) = generic::parse_as(id.clone(), &operator_members::rest(node), 1, scope) else { return };
        operator_members::set(object, operators, functions);
        operator_members::settle(&id, &mut scope.load.state);
    }

    fn write(&self, id: &ObjectId, object: &Object, inner: Vec<Node>) -> Option<Node> {
        if object.is(IMPLIED) && inner.iter().all(|child| &*child.name == "owner") {
            return None;
        }
        let mut node = generic::write(id, object, inner);
        operator_members::write(&mut node, id, object, None);
        Some(node)
    }

    fn query(&self, _: Version) -> Option<String> {
        Some(format!(
            "SELECT f.oid, f.opfnamespace, f.opfname, a.amname::text, {}, {}, \
             EXISTS (SELECT FROM pg_opclass c WHERE c.opcfamily = f.oid AND c.opcname = f.opfname \
             AND c.opcnamespace = f.opfnamespace AND c.opcowner = f.opfowner) \
             FROM pg_opfamily f JOIN pg_am a ON a.oid = f.opfmethod {} WHERE f.oid >= 16384 ORDER BY f.oid",
            operator_members::NAMING,
            operator_members::MEMBERS,
            operator_members::joins("f.oid", "NULL")
        ))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, schema, name, method) = (row.oid(), row.oid(), row.text(), row.text());
        if book.is_member(class::PG_OPFAMILY, oid) {
            return None;
        }
        let id = ObjectId::routine(&KIND, Some(book.schema(schema)?.clone()), name, method);
        book.add(class::PG_OPFAMILY, oid, id.clone());
        operator_members::name(row, &id, book);
        Some(id)
    }

    fn read(&self, row: &mut Row, id: &ObjectId, book: &Book) -> Option<Object> {
        let mut object = Object::default();
        operator_members::read(row, id, &mut object, book);
        let implied = row.next::<bool>() && object.attrs.is_empty();
        object.attrs.set(IMPLIED, implied);
        Some(object)
    }

    fn same(&self, attr: &'static Attr, old: &Object, new: &Object) -> bool {
        operator_members::same(attr, old, new)
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        let create = format!("CREATE {}", sql::target(id));
        let add = operator_members::add(id, &Object::default(), object);
        Ok(std::iter::once(create).chain(add).map(Statement::new).collect())
    }

    fn alter(
        &self,
        id: &ObjectId,
        old: &Object,
        new: &Object,
        _: &[&'static str],
        _: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        let remove = operator_members::remove(id, old, new, |_| true);
        Ok(remove.into_iter().chain(operator_members::add(id, old, new)).map(Statement::new).collect())
    }
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{alter, create, load, round_trip};

    const MIXED: &str = "operator-family mixed using=btree {\n    operator 1 \"<(integer, bigint)\"\n    \
                         function 1 btint48cmp left-arg=integer right-arg=bigint\n}\n";

    #[test]
    fn what_a_family_says_is_created() {
        assert_eq!(
            create(&round_trip(MIXED), "operator-family"),
            [
                "CREATE OPERATOR FAMILY public.mixed USING btree",
                "ALTER OPERATOR FAMILY public.mixed USING btree ADD OPERATOR 1 pg_catalog.<(integer, bigint), \
                 FUNCTION 1 (integer, bigint) pg_catalog.btint48cmp"
            ]
        );
    }

    #[test]
    fn members_come_and_go() {
        let less = MIXED.replace("    operator 1 \"<(integer, bigint)\"\n", "    operator 5 \">(integer, bigint)\"\n");
        assert_eq!(
            alter(MIXED, &less, "operator-family"),
            [
                "ALTER OPERATOR FAMILY public.mixed USING btree DROP OPERATOR 1 (integer, bigint)",
                "ALTER OPERATOR FAMILY public.mixed USING btree ADD OPERATOR 5 pg_catalog.>(integer, bigint)"
            ]
        );
    }

    #[test]
    fn what_is_wrong_is_said() {
        let problems = |text: &str| load(text).1;
        assert_eq!(problems("operator-family f"), ["this operator-family does not name its access method"]);
        let inside = |member: &str| problems(&format!("operator-family f using=btree {{\n    {member}\n}}"));
        assert_eq!(inside("operator 1 \"<\""), ["this operator does not declare the types of its operands"]);
        assert_eq!(inside("operator \"<\""), ["`operator` takes a number and a name"]);
        assert_eq!(inside("function 1 btint4cmp"), ["this function does not declare which types it serves"]);
        assert_eq!(
            inside("operator 1 \"<(text, text)\"\n    operator 1 \"<=(text, text)\""),
            ["`operator 1` is declared twice for these types"]
        );
    }
}
