//! Aggregates: `aggregate total sfunc=int4pl stype=integer initcond="0" { arg integer }`.

mod attributes;
mod ddl;

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::{Node, Problem};
use crate::model::{
    Address, Attr, Attrs, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, SqlType, Text, Within,
};

use self::attributes::*;
use self::ddl::definition;
use super::routine::{self, ARG_MODE, ARG_NAME, ARG_TYPE, ARGS};
use super::support;
use crate::kinds::held::{self, Held};
use crate::kinds::rights::{self, Demand};
use crate::kinds::scope::{Scope, Turn};
use crate::kinds::{Context, Evaluates, Folded, Room, Statement, constraint, generic};

pub static KIND: Kind = Kind {
    word: "aggregate",
    sql: "AGGREGATE",
    address: Address::Routine,
    within: Within::Schema,
    namespace: Namespace::Routine,
    attrs: &ATTRS,
    folds: false,
    doc: "A function of many rows. Aggregates with the same name are distinguished by their input types.",
};

pub struct Aggregate;
pub static ROOM: Aggregate = Aggregate;

impl Room for Aggregate {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn held(&self) -> Option<&'static Held> {
        Some(&held::PG_PROC)
    }

    /// CREATE OR REPLACE always says everything.
    fn rights(&self, id: &ObjectId, object: &Object, changed: Option<&[&'static str]>) -> Vec<Demand> {
        let mut out = rights::of_attrs(&KIND, object, None);
        out.extend(rights::create_beside(id).filter(|_| changed.is_some()));
        out
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        // Functions are known once everything is read.
        if scope.put_off(Turn::NamedReference, &ROOM, node) {
            return;
        }
        let Some(name) = generic::take_name(node, scope) else { return };
        let mut rest = node.clone();
        let functions = support::take(&mut rest, &FUNCTIONS);
        rest.children.iter_mut().filter(|c| is_argument(c)).for_each(routine::turn_argument);
        let (mut attrs, head) = routine::head(&KIND, &rest, scope);
        for (key, what) in [(SFUNC.name, "its state function"), (STYPE.name, "the type of its state")] {
            if node.get_prop(key).is_none() {
                let problem = Problem::new(node.name_span, format!("this aggregate does not declare {what}"));
                scope.problem(problem.help(format!("write `{key}=…`")));
            }
        }
        normalise(&mut attrs);
        let sortop = attrs.get(SORTOP).map(|operator| constraint::normal_name(operator, "operator", scope));
        attrs.set(SORTOP, sortop);
        let found: Vec<_> = FUNCTIONS
            .iter()
            .filter_map(|key| Some((*key, functions.iter().find(|p| &*p.name == key.name)?)))
            .map(|(key, prop)| (key, support::resolve(&prop.value, &takes(key, &attrs), scope)))
            .collect();
        found.into_iter().for_each(|(key, function)| _ = attrs.set(key, function));
        let signature = types(&[ARGS, ORDER_BY], &attrs).join(", ");
        let id = ObjectId::routine(&KIND, Some(scope.schema.clone()), name, signature);
        routine::put(id, attrs, head, &rest, &[], scope);
    }

    fn write(&self, id: &ObjectId, object: &Object, inner: Vec<Node>) -> Option<Node> {
        let mut node = generic::write(id, object, inner);
        node.children.iter_mut().filter(|c| is_argument(c)).for_each(routine::turn_back);
        support::write(&mut node, id, object, &FUNCTIONS, |key| takes(key, object));
        Some(node)
    }

    fn query(&self, _: Version) -> Option<String> {
        let functions = FUNCTION_COLUMNS.map(|column| support::columns(&format!("{column}::oid"))).join(", ");
        Some(format!(
            "SELECT p.oid, p.pronamespace, p.proname, \
             (SELECT coalesce(string_agg(format_type(u.t, NULL), ', ' ORDER BY u.i), '') \
              FROM unnest(p.proargtypes) WITH ORDINALITY u(t, i)), \
             ARRAY(SELECT format_type(u.t, NULL) FROM unnest(p.proargtypes) WITH ORDINALITY u(t, i) ORDER BY u.i), \
             p.proargnames, p.proargmodes::text[], a.aggkind, a.aggnumdirectargs, {functions}, \
             format_type(a.aggtranstype, NULL), a.aggtransspace::int8, a.agginitval, a.aggfinalextra, a.aggfinalmodify, \
             CASE WHEN a.aggmtranstype <> 0 THEN format_type(a.aggmtranstype, NULL) END, a.aggmtransspace::int8, a.aggminitval, \
             a.aggmfinalextra, a.aggmfinalmodify, n.nspname::text, o.oprname::text, p.proparallel \
             FROM pg_aggregate a JOIN pg_proc p ON p.oid = a.aggfnoid \
             LEFT JOIN pg_operator o ON o.oid = a.aggsortop LEFT JOIN pg_namespace n ON n.oid = o.oprnamespace \
             WHERE p.oid >= 16384 ORDER BY p.oid"
        ))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, schema, name, signature) = (row.oid(), row.oid(), row.text(), row.text());
        if book.is_member(class::PG_PROC, oid) {
            return None;
        }
        let id = ObjectId::routine(&KIND, Some(book.schema(schema)?.clone()), name, signature);
        book.add(class::PG_PROC, oid, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, _: &ObjectId, book: &Book) -> Option<Object> {
        let mut attrs = Attrs::new();
        let mut arguments = read_arguments(row);
        let (kind, direct) = (row.char(), usize::try_from(row.next::<i16>()).unwrap_or_default());
        if kind != 'n' {
            // A list at the end of both is stored once.
            let last = arguments.last().cloned().filter(|_| direct == arguments.len());
            let mut sorted = arguments.split_off(direct.min(arguments.len()));
            sorted.extend(last);
            attrs.set(ORDER_BY, (!sorted.is_empty()).then_some(sorted));
        }
        attrs.set(HYPOTHETICAL, kind == 'h');
        attrs.set(ARGS, (!arguments.is_empty()).then_some(arguments));
        for key in FUNCTIONS {
            attrs.set(key, support::read(row, book));
        }
        attrs.set(STYPE, SqlType::new(row.text())).set(SSPACE, row.next::<i64>()).set(INITCOND, row.text_opt());
        attrs.set(FINALFUNC_EXTRA, row.next::<bool>()).set(FINALFUNC_MODIFY, modify(row.char()));
        attrs
            .set(MSTYPE, row.text_opt().map(SqlType::new))
            .set(MSSPACE, row.next::<i64>())
            .set(MINITCOND, row.text_opt());
        attrs.set(MFINALFUNC_EXTRA, row.next::<bool>()).set(MFINALFUNC_MODIFY, modify(row.char()));
        let (schema, operator) = (row.text_opt(), row.text_opt());
        attrs.set(SORTOP, schema.zip(operator).map(|(schema, name)| constraint::in_schema(&schema, &name)));
        let parallel = match row.char() {
            's' => "safe",
            'r' => "restricted",
            _ => "unsafe",
        };
        attrs.set(PARALLEL, Text::from(parallel));
        normalise(&mut attrs);
        Some(Object::new(attrs))
    }

    fn refers(&self, _: &ObjectId, object: &Object, refs: &mut crate::kinds::refs::Refs) {
        if let Some(operator) = object.get(SORTOP) {
            refs.names_in(operator.clone());
        }
    }

    /// CREATE OR REPLACE accepts new functions and states, but keeps the result's type, the arguments' names and the sort of aggregate.
    fn on_change(&self, attr: &'static Attr, old: &Object, new: &Object) -> OnChange {
        let kept = |key: Key<Vec<Attrs>>| {
            let (old, new) = (old.get(key).unwrap_or_default(), new.get(key).unwrap_or_default());
            let same = |(old, new): (&&Attrs, &&Attrs)| {
                let name_kept = old.get(ARG_NAME).is_none() || old.get(ARG_NAME) == new.get(ARG_NAME);
                name_kept && old.get(ARG_MODE) == new.get(ARG_MODE)
            };
            old.len() == new.len() && old.iter().zip(&new).all(same)
        };
        match attr.name {
            name if name == ARGS.name && !kept(ARGS) => OnChange::Replace,
            name if name == ORDER_BY.name && !kept(ORDER_BY) => OnChange::Replace,
            _ => attr.on_change,
        }
    }

    /// `initcond` is tried on the type of the state (src/backend/commands/aggregatecmds.c, DefineAggregate).
    fn evaluates(&self, _: bool) -> Evaluates {
        Evaluates::Parses
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        Ok(vec![Statement::new(definition("CREATE", id, object))])
    }

    fn alter(
        &self,
        id: &ObjectId,
        _: &Object,
        new: &Object,
        _: &[&'static str],
        _: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        Ok(vec![Statement::new(definition("CREATE OR REPLACE", id, new))])
    }
}

fn is_argument(node: &Node) -> bool {
    [ARGS.name, ORDER_BY.name].contains(&&*node.name)
}

fn list(key: Key<Vec<Attrs>>, attrs: &Attrs) -> Vec<&Attrs> {
    attrs.get(key).unwrap_or_default()
}

fn is_variadic(arg: &Attrs) -> bool {
    arg.get(ARG_MODE).is_some_and(|mode| &**mode == "variadic")
}

/// True if the last argument and the sorted one are the same list, which counts once.
fn repeats_last(attrs: &Attrs) -> bool {
    let (direct, sorted) = (list(ARGS, attrs), list(ORDER_BY, attrs));
    matches!((direct.last(), sorted.as_slice()), (Some(a), [b]) if is_variadic(a) && is_variadic(b))
}

/// The types of these arguments, as they count.
fn types(keys: &[Key<Vec<Attrs>>], attrs: &Attrs) -> Vec<Text> {
    let all =
        keys.iter().flat_map(|key| list(*key, attrs)).map(|arg| arg.get(ARG_TYPE).map_or("".into(), |t| t.0.clone()));
    let mut all: Vec<Text> = all.collect();
    if keys.len() > 1 && repeats_last(attrs) {
        all.pop();
    }
    all
}

/// What a function gets.
fn takes(key: Key<ObjectId>, attrs: &Attrs) -> Vec<Text> {
    let state = |key: Key<SqlType>| attrs.get(key).map_or("".into(), |t| t.0.clone());
    let (state, extra) = match key.name.starts_with('m') {
        true => (state(MSTYPE), attrs.is(MFINALFUNC_EXTRA)),
        false => (state(STYPE), attrs.is(FINALFUNC_EXTRA)),
    };
    let ordered = attrs.is(ORDERED_SET);
    let arguments = match key.name {
        "sfunc" | "msfunc" | "minvfunc" if ordered => types(&[ORDER_BY], attrs),
        "sfunc" | "msfunc" | "minvfunc" => types(&[ARGS], attrs),
        "finalfunc" | "mfinalfunc" if extra => types(&[ARGS, ORDER_BY], attrs),
        "finalfunc" | "mfinalfunc" if ordered => types(&[ARGS], attrs),
        "combinefunc" => vec![state.clone()],
        "deserialfunc" => return vec!["bytea".into(), "internal".into()],
        _ => vec![],
    };
    std::iter::once(state).chain(arguments).collect()
}

/// Removes defaults, and brings types into the form in which the catalog has them.
fn normalise(attrs: &mut Attrs) {
    for key in [ARGS, ORDER_BY] {
        let bare = |arg: &Attrs| {
            let sql_type = arg.get(ARG_TYPE).map(routine::bare_type);
            let mode = is_variadic(arg).then(|| Text::from("variadic"));
            arg.clone().with(ARG_TYPE, sql_type).with(ARG_MODE, mode)
        };
        let arguments: Vec<Attrs> = list(key, attrs).into_iter().map(bare).collect();
        attrs.set(key, (!arguments.is_empty()).then_some(arguments));
    }
    for key in [STYPE, MSTYPE] {
        let sql_type = attrs.get(key).map(routine::bare_type);
        attrs.set(key, sql_type);
    }
    let ordered = attrs.is(HYPOTHETICAL) || attrs.get(ORDER_BY).is_some();
    attrs.set(ORDERED_SET, ordered);
    let usual = if ordered { "read-write" } else { "read-only" };
    for key in [FINALFUNC_MODIFY, MFINALFUNC_MODIFY] {
        if attrs.get(key).is_some_and(|modify| &**modify == usual) {
            attrs.remove(key.name);
        }
    }
}

fn modify(letter: char) -> Text {
    match letter {
        's' => "shareable",
        'w' => "read-write",
        _ => "read-only",
    }
    .into()
}

fn read_arguments(row: &mut Row) -> Vec<Attrs> {
    let (types, names, modes): (Vec<String>, Vec<String>, Vec<String>) = (row.next(), row.next(), row.next());
    let arg = |(i, sql_type): (usize, String)| {
        let variadic = modes.get(i).is_some_and(|mode| mode == "v");
        Attrs::new()
            .with(ARG_TYPE, SqlType::new(sql_type))
            .with(ARG_NAME, names.get(i).filter(|n| !n.is_empty()).map(|n| Text::from(n.as_str())))
            .with(ARG_MODE, variadic.then(|| Text::from("variadic")))
    };
    types.into_iter().enumerate().map(arg).collect()
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{alter, create, load, round_trip};

    #[test]
    fn what_an_aggregate_says_is_created() {
        let text = "aggregate total sfunc=int4pl stype=integer initcond=\"0\" combinefunc=int4pl sortop=\"<\" parallel=safe {\n    arg n integer\n}\n\n\
                    aggregate rows sfunc=int8inc stype=bigint\n\n\
                    aggregate place hypothetical finalfunc-extra sfunc=ordered_set_transition_multi stype=internal finalfunc=rank_final {\n    \
                    arg #\"\"any\"\"# mode=variadic\n    order-by #\"\"any\"\"# mode=variadic\n}\n";
        let state = round_trip(text);
        let names: Vec<String> = state.iter().map(|(id, _)| id.to_string()).collect();
        assert_eq!(
            names,
            ["aggregate public.total(integer)", "aggregate public.rows()", "aggregate public.place(\"any\")"]
        );
        let made = create(&state, "aggregate");
        assert_eq!(
            made[0],
            "CREATE AGGREGATE public.total(n integer) (\n    SFUNC = pg_catalog.int4pl,\n    STYPE = integer,\n    INITCOND = '0',\n    \
             COMBINEFUNC = pg_catalog.int4pl,\n    SORTOP = <,\n    PARALLEL = SAFE\n)"
        );
        assert!(made[1].starts_with("CREATE AGGREGATE public.rows(*) ("));
        assert!(made[2].starts_with(
            "CREATE AGGREGATE public.place(VARIADIC \"any\" ORDER BY VARIADIC \"any\") (\n    HYPOTHETICAL,\n"
        ));
    }

    #[test]
    fn functions_are_found_by_what_they_take() {
        let add = |types: [&str; 2]| {
            format!(
                "function add returns={} language=sql {{\n    arg {}\n    arg {}\n    body-exact x\n}}\n\n",
                types[0], types[0], types[1]
            )
        };
        let two = add(["integer", "integer"]) + &add(["bigint", "integer"]);
        let state = load(&format!("{two}aggregate a sfunc=add stype=bigint {{ arg integer }}")).0;
        let made = create(&state, "aggregate");
        assert!(made[0].contains("SFUNC = public.add"), "{made:?}");
        let problems = load(&format!("{two}aggregate a sfunc=add stype=text {{ arg integer }}")).1;
        assert_eq!(problems, ["no function `add` takes (text, integer)"]);
        round_trip(&(two + "aggregate a sfunc=\"add(integer, integer)\" stype=bigint {\n    arg integer\n}\n"));
    }

    #[test]
    fn what_keeps_the_result_is_replaced_in_place() {
        let a = "aggregate a sfunc=int4pl stype=integer { arg integer }";
        let changed = |to: &str| alter(a, to, "aggregate")[0].clone();
        assert!(
            changed("aggregate a sfunc=int4mul stype=integer { arg n integer }")
                .starts_with("CREATE OR REPLACE AGGREGATE")
        );
        assert_eq!(changed("aggregate a sfunc=int4pl stype=bigint { arg integer }"), "replace because of stype");
        assert_eq!(changed("aggregate a sfunc=int4pl stype=integer { order-by integer }"), "replace because of arg");
    }

    #[test]
    fn what_is_missing_is_said() {
        assert_eq!(load("aggregate a").1.len(), 2);
    }
}
