//! Casts: `cast mood integer assignment function=rank_of`, identified by their source and target types.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::{Arg, Node, Problem};
use crate::kinds::rights::{self, Demand};
use crate::kinds::scope::{Scope, Turn, schema_id};
use crate::kinds::support::{self, function_attr};
use crate::kinds::{Context, Folded, Need, Room, Statement, generic, routine};
use crate::model::{
    Address, Attr, Form, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, SqlType, State,
    Text, Within, attr,
};
use crate::sql::{self, signature};

const FUNCTION: Key<ObjectId> = Key::new("function");
const WITHOUT_FUNCTION: Key<bool> = Key::new("without-function");
const INOUT: Key<bool> = Key::new("inout");
const ASSIGNMENT: Key<bool> = Key::new("assignment");
const IMPLICIT: Key<bool> = Key::new("implicit");

static ATTRS: [Attr; 5] = [
    attr(ASSIGNMENT, Shape::Flag, Form::Flag, OnChange::Replace, "Applied automatically when a value is assigned."),
    attr(IMPLICIT, Shape::Flag, Form::Flag, OnChange::Replace, "Applied automatically wherever the types require it."),
    attr(
        WITHOUT_FUNCTION,
        Shape::Flag,
        Form::Flag,
        OnChange::Replace,
        "Both types have the same binary representation.",
    ),
    attr(INOUT, Shape::Flag, Form::Flag, OnChange::Replace, "It converts by way of text."),
    function_attr(FUNCTION, OnChange::Replace, "The function that converts, as a property."),
];

pub static KIND: Kind = Kind {
    word: "cast",
    sql: "CAST",
    address: Address::Global,
    within: Within::Top,
    namespace: Namespace::Routine,
    attrs: &ATTRS,
    folds: false,
    doc: "How to convert a value of one type to another: `cast FROM TO`.",
};

pub struct Cast;
pub static ROOM: Cast = Cast;

impl Room for Cast {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn need(&self) -> Need {
        Need::OneType
    }

    /// Its function may be anybody's.
    fn rights(&self, id: &ObjectId, object: &Object, _: Option<&[&'static str]>) -> Vec<Demand> {
        let types = types(id).into_iter().filter_map(|text| rights::sql_type(&SqlType::new(text)));
        types.chain(object.is(WITHOUT_FUNCTION).then(rights::superuser)).collect()
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        // Functions are known once everything is read.
        if scope.put_off(Turn::NamedReference, &ROOM, node) {
            return;
        }
        let mut sql_type = |arg: &Arg| Some(routine::bare_type(&scope.sql_type(arg.as_text()?, arg.span)));
        let types = node.args.first().and_then(&mut sql_type).zip(node.args.get(1).and_then(&mut sql_type));
        let Some((from, to)) = types else {
            let problem = Problem::new(node.name_span, "a cast is between two types");
            return scope.problem(problem.label("write `cast FROM TO`"));
        };
        if let Some(was) = node.props.iter().find(|prop| &*prop.name == "was") {
            let problem = Problem::new(was.name_span, "a cast has no name");
            return scope.problem(problem.help("leave out `was`: a cast follows its types when they are renamed"));
        }
        let mut rest = node.clone();
        let said = support::take(&mut rest, &[FUNCTION]);
        let id = ObjectId::routine(&KIND, None, "", format!("{}, {}", from.as_str(), to.as_str()));
        let function =
            said.first().and_then(|prop| support::resolve(&prop.value, std::slice::from_ref(&from.0), scope));
        if let Some(object) = generic::parse_as(id, &rest, 2, scope) {
            object.attrs.set(FUNCTION, function);
        }
    }

    fn lacks(&self, _: &ObjectId, object: &Object, _: &State) -> Option<String> {
        let ways = [object.get(FUNCTION).is_some(), object.is(WITHOUT_FUNCTION), object.is(INOUT)];
        if ways.iter().filter(|said| **said).count() != 1 {
            return Some("it has one way to convert: `function=…`, `without-function` or `inout`".into());
        }
        let both = object.is(ASSIGNMENT) && object.is(IMPLICIT);
        both.then(|| "what is `implicit` happens in assignments, too: leave out `assignment`".to_string())
    }

    fn write(&self, id: &ObjectId, object: &Object, inner: Vec<Node>) -> Option<Node> {
        let mut node = generic::write(id, object, inner);
        let public = schema_id("public");
        let types = types(id).into_iter().map(|t| Arg::text(generic::type_text(&SqlType::new(t), Some(&public))));
        node.args = types.chain(node.args.into_iter().skip(1)).collect();
        support::write(&mut node, id, object, &[FUNCTION], |_| takes(id));
        Some(node)
    }

    fn query(&self, _: Version) -> Option<String> {
        // A range type brings a cast to its multirange type.
        Some(format!(
            "SELECT c.oid, format_type(c.castsource, NULL), format_type(c.casttarget, NULL), {}, \
             (SELECT string_agg(format_type(u.t, NULL), ', ' ORDER BY u.i) \
              FROM pg_proc p, unnest(p.proargtypes) WITH ORDINALITY u(t, i) WHERE p.oid = c.castfunc), \
             c.castmethod, c.castcontext FROM pg_cast c WHERE c.oid >= 16384 AND NOT EXISTS \
             (SELECT FROM pg_depend d WHERE d.classid = 2605 AND d.objid = c.oid AND d.deptype = 'i') ORDER BY c.oid",
            support::columns("c.castfunc")
        ))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, from, to) = (row.oid(), row.text(), row.text());
        if book.is_member(class::PG_CAST, oid) {
            return None;
        }
        let id = ObjectId::routine(&KIND, None, "", format!("{from}, {to}"));
        book.add(class::PG_CAST, oid, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, id: &ObjectId, book: &Book) -> Option<Object> {
        let mut object = Object::default();
        let (function, gets) = (support::read(row, book), row.text());
        // One that is not ours is known by its name alone, unless it gets more than the value.
        let more = |f: &ObjectId| f.signature().is_none() && *gets != *takes(id).join(", ");
        let function = function.map(|f| if more(&f) { f.with_signature(Some(gets.clone())) } else { f });
        object.attrs.set(FUNCTION, function);
        let (method, context) = (row.char(), row.char());
        object.attrs.set(WITHOUT_FUNCTION, method == 'b').set(INOUT, method == 'i');
        object.attrs.set(ASSIGNMENT, context == 'a').set(IMPLICIT, context == 'i');
        Some(object)
    }

    fn serves_unnamed(&self) -> bool {
        true
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        let how = match object.get(FUNCTION) {
            Some(function) => {
                let gets = function.signature().cloned().unwrap_or_else(|| takes(id).join(", ").into());
                format!("WITH FUNCTION {}({gets})", support::name(function))
            }
            None if object.is(INOUT) => "WITH INOUT".into(),
            None => "WITHOUT FUNCTION".into(),
        };
        let when = match (object.is(ASSIGNMENT), object.is(IMPLICIT)) {
            (_, true) => " AS IMPLICIT",
            (true, false) => " AS ASSIGNMENT",
            (false, false) => "",
        };
        Ok(vec![Statement::new(format!("CREATE {} {how}{when}", sql::target(id)))])
    }

    /// Nothing of a cast can be altered in place.
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

/// The types that it leads from and to.
fn types(id: &ObjectId) -> Vec<&str> {
    signature::split(id.signature().map_or("", |s| s))
}

/// What its function gets, at least.
fn takes(id: &ObjectId) -> Vec<Text> {
    types(id).into_iter().take(1).map(Text::from).collect()
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{alter, create, load, round_trip};

    #[test]
    fn what_a_cast_says_is_created() {
        let text = "enum mood sad happy\n\n\
                    function rank_of returns=integer language=sql {\n    arg public.mood\n    body-exact \"SELECT 1\"\n}\n\n\
                    cast public.mood integer assignment function=public.rank_of\ncast bigint public.mood inout\ncast integer name function=\"pg_catalog.odd(integer, integer)\"\n";
        let state = load(text).0;
        let names: Vec<String> = state.iter().map(|(id, _)| id.to_string()).filter(|n| n.starts_with("cast")).collect();
        assert_eq!(names, ["cast (public.mood, integer)", "cast (bigint, public.mood)", "cast (integer, name)"]);
        assert_eq!(
            create(&state, "cast"),
            [
                "CREATE CAST (public.mood AS integer) WITH FUNCTION public.rank_of(public.mood) AS ASSIGNMENT",
                "CREATE CAST (bigint AS public.mood) WITH INOUT",
                "CREATE CAST (integer AS name) WITH FUNCTION pg_catalog.odd(integer, integer)",
            ]
        );
    }

    #[test]
    fn casts_are_written_and_replaced() {
        let plain = "cast integer name implicit inout\n";
        round_trip(plain);
        round_trip("cast integer name function=odd\n");
        round_trip("cast integer name function=\"pg_catalog.odd(integer, integer)\"\n");
        assert_eq!(alter(plain, "cast integer name inout", "cast"), ["replace because of implicit"]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        assert_eq!(load("cast integer function=f").1, ["a cast is between two types"]);
        assert_eq!(load("cast integer name inout was=x").1, ["a cast has no name"]);
    }
}
