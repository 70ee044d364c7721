//! Functions: `function add returns=integer language=sql { arg a integer; body … }`. Aggregates are a kind of their own.

use crate::catalog::{Book, Row, Version};
use crate::kdl::Node;
use crate::kinds::held::{self, Held};
use crate::kinds::refs::Refs;
use crate::kinds::rights::Demand;
use crate::kinds::scope::Scope;
use crate::kinds::{Context, Disturbance, Folded, Reaction, Room, Statement};
use crate::model::{Address, Attr, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, State, Within};
use crate::sql;

use super::{routine, support};

pub static KIND: Kind = Kind {
    word: "function",
    sql: "FUNCTION",
    address: Address::Routine,
    within: Within::Schema,
    namespace: Namespace::Routine,
    attrs: &routine::FUNCTION,
    folds: false,
    doc: "A function. Functions with the same name are distinguished by their input types.",
};

pub struct Function;
pub static ROOM: Function = Function;

impl Room for Function {
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
        Some(routine::query(server, "'f', 'w'"))
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

    /// A range and its canonical function need each other.
    fn vanishes_with(&self, id: &ObjectId, state: &State) -> Option<ObjectId> {
        support::canonical_of(id, state)
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], cx: &Context<'_>) -> Result<Vec<Statement>> {
        // A canonical function was made with its range, whose statement needs it.
        match support::canonical_of(id, cx.state) {
            Some(_) => Ok(routine::alter(id, object)),
            None => Ok(routine::create(id, object)),
        }
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
    fn drop(&self, id: &ObjectId, _: &Object, cx: &Context<'_>) -> Result<Vec<Statement>> {
        match support::canonical_of(id, cx.state) {
            Some(_) => Ok(vec![]), // gone with its range
            None => Ok(vec![Statement::new(format!("DROP {}", sql::target(id)))]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kinds::{schema, scope::Load};

    fn load(node: &Node) -> Load {
        let mut load = Load::default();
        load.declared.insert(("public".into(), "state".into()), vec!["enum"]);
        ROOM.parse(node, &mut Scope { schema: schema::id("public"), parent: None, load: &mut load });
        load
    }

    fn read(node: &Node) -> (ObjectId, Object) {
        let load = load(node);
        assert!(load.problems.is_empty(), "{:?}", load.problems);
        load.state.iter().next().map(|(i, o)| (i.clone(), o.clone())).unwrap()
    }

    fn node(returns: &str) -> Node {
        Node::new("function").arg("f").prop("returns", returns).prop("language", "plpgsql")
    }

    fn arg(name: &str, sql_type: &str) -> Node {
        Node::new("arg").arg(name).arg(sql_type)
    }

    fn ddl(node: &Node) -> String {
        let (id, object) = read(node);
        let state = State::default();
        let cx = Context::new(Version::major_release(15), &state);
        let again = read(&ROOM.write(&id, &object, vec![]).unwrap());
        assert_eq!(again, (id.clone(), object.clone()), "what is written reads back");
        ROOM.create(&id, &object, &[], &cx).unwrap().remove(0).sql
    }

    #[test]
    fn everything_that_a_function_can_say() {
        let node = node("int").arg("strict").arg("security-definer").arg("leakproof");
        let node = node.prop("volatility", "immutable").prop("parallel", "safe").int_prop("cost", 5);
        let node = node.child(arg("a", "varchar(10)")).child(arg("s", "state").prop("default", "'x'"));
        let node = node.child(Node::new("set").prop("search_path", "app,pg_temp"));
        let node = node.child(Node::new("body").arg("BEGIN\n  RETURN 1;\nEND"));
        assert_eq!(read(&node).0.to_string(), "function public.f(character varying, public.state)");
        assert_eq!(
            ddl(&node),
            "CREATE FUNCTION public.f(a character varying, s public.state DEFAULT 'x') RETURNS integer\n    \
             LANGUAGE plpgsql STRICT SECURITY DEFINER LEAKPROOF IMMUTABLE PARALLEL SAFE COST 5\n    \
             SET search_path TO 'app', 'pg_temp'\n    AS $$\nBEGIN\n  RETURN 1;\nEND\n$$"
        );
    }

    #[test]
    fn results_of_all_sorts() {
        let body = || Node::new("body-exact").arg("x");
        let table = Node::new("function").arg("f").prop("language", "sql").int_prop("rows", 50);
        let table =
            table.child(arg("a", "int[]").prop("mode", "variadic")).child(arg("x", "int").prop("mode", "table"));
        assert_eq!(
            ddl(&table.child(body())),
            "CREATE FUNCTION public.f(VARIADIC a integer[]) RETURNS TABLE(x integer)\n    LANGUAGE sql ROWS 50\n    AS $$x$$"
        );
        let out =
            node("record").child(arg("a", "int").prop("mode", "inout")).child(arg("b", "text").prop("mode", "out"));
        let out = out.child(body());
        assert_eq!(read(&out).0.signature().unwrap().to_string(), "integer");
        assert_eq!(
            ddl(&out),
            "CREATE FUNCTION public.f(INOUT a integer, OUT b text)\n    LANGUAGE plpgsql\n    AS $$x$$"
        );
        let unnamed = node("setof state").child(Node::new("arg").arg("timestamptz")).child(body());
        assert_eq!(
            ddl(&unnamed),
            "CREATE FUNCTION public.f(timestamp with time zone) RETURNS SETOF public.state\n    \
             LANGUAGE plpgsql\n    AS $$x$$"
        );
        let c = Node::new("function").arg("f").prop("returns", "int").prop("language", "c").int_prop("cost", 1);
        assert_eq!(
            ddl(&c.prop("object-file", "$libdir/x").prop("link-symbol", "f")),
            "CREATE FUNCTION public.f() RETURNS integer\n    LANGUAGE c\n    AS '$libdir/x', 'f'"
        );
        let sql = Node::new("function").arg("f").prop("returns", "int").prop("language", "sql");
        assert_eq!(
            ddl(&sql.child(Node::new("sql-body").arg("RETURN 1"))),
            "CREATE FUNCTION public.f() RETURNS integer\n    LANGUAGE sql\n    RETURN 1"
        );
    }

    #[test]
    fn bodies_are_kept_byte_for_byte() {
        for source in ["", "\n", "\n\n", "\nx", "x\n", "\n  x\n\n", " \n"] {
            let (id, object) = read(&node("int").child(Node::new("body-exact").arg(source)));
            let (_, again) = read(&ROOM.write(&id, &object, vec![]).unwrap());
            assert_eq!(object, again, "{source:?}");
        }
    }

    #[test]
    fn changes_that_create_or_replace_cannot_do() {
        let change = |old: &Node, new: &Node| {
            let body = |n: &Node| read(&n.clone().child(Node::new("body-exact").arg("x"))).1;
            ROOM.on_change(KIND.attr("arg").unwrap(), &body(old), &body(new))
        };
        let f = || node("int");
        let default = |v: &str| arg("a", "int").prop("default", v);
        assert_eq!(change(&f().child(arg("a", "int")), &f().child(default("1"))), OnChange::Alter);
        assert_eq!(change(&f().child(default("1")), &f().child(default("2"))), OnChange::Alter);
        assert_eq!(change(&f().child(default("1")), &f().child(arg("a", "int"))), OnChange::Replace);
        assert_eq!(change(&f().child(arg("a", "int")), &f().child(arg("b", "int"))), OnChange::Replace);
        assert_eq!(change(&f().child(Node::new("arg").arg("int")), &f().child(arg("b", "int"))), OnChange::Alter);
        let out = arg("o", "int").prop("mode", "out");
        assert_eq!(change(&f().child(out), &f()), OnChange::Replace);
    }

    #[test]
    fn what_is_missing_is_said() {
        assert_eq!(load(&Node::new("function").arg("f")).problems.len(), 3);
        let two = node("int").child(Node::new("body").arg("x")).child(Node::new("sql-body").arg("RETURN 1"));
        assert_eq!(load(&two).problems.len(), 1);
    }
}
