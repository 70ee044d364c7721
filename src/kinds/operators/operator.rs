//! Operators: `operator "===" left-arg=integer right-arg=text function=same commutator="==="`.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::{Arg, Node, Problem, Prop};
use crate::kinds::held::Held;
use crate::kinds::rights::{self, Demand};
use crate::kinds::scope::{Scope, Turn, schema_id};
use crate::kinds::support::{self, function_attr};
use crate::kinds::{Context, Folded, Room, Statement, generic, routine};
use crate::model::{
    Address, Attr, Form, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, SqlType, State,
    Text, Within, attr,
};
use crate::sql::{self, reference, signature};

const LEFT_ARG: Key<SqlType> = Key::new("left-arg");
const RIGHT_ARG: Key<SqlType> = Key::new("right-arg");
const FUNCTION: Key<ObjectId> = Key::new("function");
const COMMUTATOR: Key<Text> = Key::new("commutator");
const NEGATOR: Key<Text> = Key::new("negator");
const RESTRICT: Key<ObjectId> = Key::new("restrict");
const JOIN: Key<ObjectId> = Key::new("join");
const HASHES: Key<bool> = Key::new("hashes");
const MERGES: Key<bool> = Key::new("merges");

/// In the order of the catalog query.
const FUNCTIONS: [Key<ObjectId>; 3] = [FUNCTION, RESTRICT, JOIN];

/// The placeholder for the operand that a prefix operator does not have.
const NONE: &str = "NONE";

static ATTRS: [Attr; 9] = [
    attr(
        LEFT_ARG,
        Shape::Type,
        Form::Custom,
        OnChange::Replace,
        "The type on its left, as a property; a prefix operator has none.",
    ),
    attr(RIGHT_ARG, Shape::Type, Form::Custom, OnChange::Replace, "The type on its right, as a property."),
    function_attr(FUNCTION, OnChange::Replace, "The function that it calls."),
    attr(
        COMMUTATOR,
        Shape::Text,
        Form::Property,
        OnChange::Replace,
        "The operator that gives the same result with its operands exchanged; it may be the operator itself.",
    ),
    attr(NEGATOR, Shape::Text, Form::Property, OnChange::Replace, "The operator that gives the opposite result."),
    function_attr(RESTRICT, OnChange::Alter, "The function that estimates how many rows compare true with a constant."),
    function_attr(JOIN, OnChange::Alter, "The function that estimates how many rows a join with it returns."),
    attr(HASHES, Shape::Flag, Form::Flag, OnChange::Replace, "It can serve a hash join."),
    attr(MERGES, Shape::Flag, Form::Flag, OnChange::Replace, "It can serve a merge join."),
];

pub static KIND: Kind = Kind {
    word: "operator",
    sql: "OPERATOR",
    address: Address::Routine,
    within: Within::Schema,
    namespace: Namespace::Routine,
    attrs: &ATTRS,
    folds: false,
    doc: "A function whose name is a symbol. Operators with the same name are distinguished by the types of their operands.",
};

/// The types of its operands, as its address has them.
const OPERANDS: &str = "concat_ws(', ', CASE WHEN o.oprleft = 0 THEN 'NONE' ELSE format_type(o.oprleft, NULL) END, \
     CASE WHEN o.oprright = 0 THEN 'NONE' ELSE format_type(o.oprright, NULL) END)";

static HELD: Held = Held { signature: OPERANDS, ..Held::in_schema(class::PG_OPERATOR, "pg_operator", "opr") };

pub struct Operator;
pub static ROOM: Operator = Operator;

impl Room for Operator {
    fn kind(&self) -> KindRef {
        &KIND
    }

    fn held(&self) -> Option<&'static Held> {
        Some(&HELD)
    }

    fn rights(&self, id: &ObjectId, object: &Object, changed: Option<&[&'static str]>) -> Vec<Demand> {
        let types = signature::split(id.signature().filter(|_| changed.is_none()).map_or("", |s| s));
        let types = types.into_iter().filter(|text| *text != NONE);
        let mut out: Vec<Demand> = types.filter_map(|text| rights::sql_type(&SqlType::new(text))).collect();
        out.extend(rights::of_attrs(&KIND, object, changed));
        out
    }

    fn parse(&self, node: &Node, scope: &mut Scope<'_>) {
        // Functions are known once everything is read.
        if scope.put_off(Turn::NamedReference, &ROOM, node) {
            return;
        }
        let Some(name) = generic::take_name(node, scope) else { return };
        if !name.as_str().chars().all(sql::operators::is_operator) {
            let problem = Problem::new(node.name_span, format!("`{}` is not an operator name", name.as_str()));
            return scope.problem(problem.help("operator names consist of + - * / < > = ~ ! @ # % ^ & | ` ?"));
        }
        if let Some(was) = node.props.iter().find(|prop| &*prop.name == "was") {
            let problem = Problem::new(was.name_span, "PostgreSQL cannot rename operators");
            return scope.problem(problem.help("leave out `was`: it is dropped, and created with its new name"));
        }
        let mut rest = node.clone();
        let functions = support::take(&mut rest, &FUNCTIONS);
        let mut operand = |key: Key<SqlType>| {
            let arg = node.get_prop(key.name)?;
            Some(routine::bare_type(&scope.sql_type(arg.as_text()?, arg.span)))
        };
        let operands = [operand(LEFT_ARG), operand(RIGHT_ARG)];
        rest.props.retain(|prop| ![LEFT_ARG.name, RIGHT_ARG.name].contains(&&*prop.name));
        if operands.iter().all(Option::is_none) {
            let problem = Problem::new(node.name_span, "this operator does not declare its operands");
            return scope.problem(problem.help("write `left-arg=…` and `right-arg=…`, or the second alone"));
        }
        if !functions.iter().any(|prop| &*prop.name == FUNCTION.name) {
            let problem = Problem::new(node.name_span, "this operator does not name its function");
            scope.problem(problem.help("write `function=…`"));
        }
        let id = ObjectId::routine(&KIND, Some(scope.schema.clone()), name, types(&operands));
        let is_new = generic::parse_as(id.clone(), &rest, 1, scope).is_some();
        let mut found = Vec::new();
        for (key, prop) in
            FUNCTIONS.iter().filter_map(|key| Some((key, functions.iter().find(|p| &*p.name == key.name)?)))
        {
            found.push((*key, support::resolve(&prop.value, &takes(*key, &id), scope)));
        }
        let said = scope.load.state.get(&id).map(|object| [COMMUTATOR, NEGATOR].map(|key| object.get(key).cloned()));
        let partners = said.unwrap_or_default().map(|text| text.map(|text| normal(&text, scope)));
        let Some(object) = scope.load.state.objects_mut().get_mut(&id).filter(|_| is_new) else { return };
        found.into_iter().for_each(|(key, function)| _ = object.attrs.set(key, function));
        let [commutator, negator] = partners;
        object.attrs.set(COMMUTATOR, commutator).set(NEGATOR, negator);
        link(&id, &mut scope.load.state);
    }

    fn write(&self, id: &ObjectId, object: &Object, inner: Vec<Node>) -> Option<Node> {
        let mut node = generic::write(id, object, inner);
        for (key, sql_type) in [LEFT_ARG, RIGHT_ARG].into_iter().zip(operands(id)).filter(|(_, t)| *t != NONE) {
            let value = Arg::text(generic::type_text(&SqlType::new(sql_type), id.schema()));
            node.props.push(Prop::new(key.name, value));
        }
        support::write(&mut node, id, object, &FUNCTIONS, |key| takes(key, id));
        Some(node)
    }

    fn query(&self, _: Version) -> Option<String> {
        let functions = ["o.oprcode", "o.oprrest", "o.oprjoin"]
            .map(|column| support::columns(&format!("{column}::oid")))
            .join(", ");
        let operand =
            |column: &str| format!("CASE WHEN {column} = 0 THEN '{NONE}' ELSE format_type({column}, NULL) END");
        // From 17 on, an operator that was named before it was made does not name the other one back; they are partners all the same.
        let partner = |column: &str| {
            let back = format!("SELECT min(p.oid) FROM pg_operator p WHERE p.{column} = o.oid AND p.oprcode <> 0");
            format!("coalesce(nullif(o.{column}, 0), ({back}))")
        };
        // What an operator names as its partner may not be there yet: such a shell has no function.
        Some(format!(
            "SELECT o.oid, o.oprnamespace, o.oprname, {}, {}, {functions}, cn.nspname::text, c.oprname::text, nn.nspname::text, \
             n.oprname::text, o.oprcanhash, o.oprcanmerge FROM pg_operator o \
             LEFT JOIN pg_operator c ON c.oid = {} LEFT JOIN pg_namespace cn ON cn.oid = c.oprnamespace \
             LEFT JOIN pg_operator n ON n.oid = {} LEFT JOIN pg_namespace nn ON nn.oid = n.oprnamespace \
             WHERE o.oid >= 16384 AND o.oprcode <> 0 ORDER BY o.oid",
            operand("o.oprleft"),
            operand("o.oprright"),
            partner("oprcom"),
            partner("oprnegate")
        ))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, schema, name) = (row.oid(), row.oid(), row.text());
        let types = format!("{}, {}", row.text(), row.text());
        if book.is_member(class::PG_OPERATOR, oid) {
            return None;
        }
        let id = ObjectId::routine(&KIND, Some(book.schema(schema)?.clone()), name, types);
        book.add(class::PG_OPERATOR, oid, id.clone());
        Some(id)
    }

    fn read(&self, row: &mut Row, id: &ObjectId, book: &Book) -> Option<Object> {
        let mut object = Object::default();
        for key in FUNCTIONS {
            object.attrs.set(key, support::read(row, book));
        }
        for key in [COMMUTATOR, NEGATOR] {
            let other = row.text_opt().zip(row.text_opt());
            object.attrs.set(key, other.map(|(schema, name)| partner_text(id, &schema, &name)));
        }
        object.attrs.set(HASHES, row.next::<bool>()).set(MERGES, row.next::<bool>());
        Some(object)
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        let function = |key: Key<ObjectId>, word: &str| Some(format!("{word} = {}", support::name(object.get(key)?)));
        let mut parts: Vec<String> = function(FUNCTION, "FUNCTION").into_iter().collect();
        for (word, sql_type) in ["LEFTARG", "RIGHTARG"].into_iter().zip(operands(id)).filter(|(_, t)| *t != NONE) {
            parts.push(format!("{word} = {sql_type}"));
        }
        for (key, word) in [(COMMUTATOR, "COMMUTATOR"), (NEGATOR, "NEGATOR")] {
            let other = object.get(key).map(|text| sql::operator_path(&partner(key, id, text)));
            parts.extend(other.map(|other| format!("{word} = OPERATOR({other})")));
        }
        parts.extend(function(RESTRICT, "RESTRICT"));
        parts.extend(function(JOIN, "JOIN"));
        parts.extend(
            [(HASHES, "HASHES"), (MERGES, "MERGES")]
                .into_iter()
                .filter(|(key, _)| object.is(*key))
                .map(|(_, word)| word.to_string()),
        );
        Ok(vec![Statement::new(format!("CREATE OPERATOR {} ({})", sql::operator_path(id), parts.join(", ")))])
    }

    fn alter(
        &self,
        id: &ObjectId,
        _: &Object,
        new: &Object,
        changed: &[&'static str],
        _: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        let set = [(RESTRICT, "RESTRICT"), (JOIN, "JOIN")].into_iter().filter(|(key, _)| changed.contains(&key.name));
        let set: Vec<String> = set
            .map(|(key, word)| format!("{word} = {}", new.get(key).map_or_else(|| NONE.into(), support::name)))
            .collect();
        let statement = || Statement::new(format!("ALTER {} SET ({})", sql::target(id), set.join(", ")));
        Ok((!set.is_empty()).then(statement).into_iter().collect())
    }
}

/// The types on both sides.
fn operands(id: &ObjectId) -> Vec<&str> {
    signature::split(id.signature().map_or("", |s| s))
}

fn types(operands: &[Option<SqlType>; 2]) -> String {
    operands.each_ref().map(|operand| operand.as_ref().map_or(NONE, SqlType::as_str)).join(", ")
}

/// What a function gets.
fn takes(key: Key<ObjectId>, id: &ObjectId) -> Vec<Text> {
    match key.name {
        "restrict" => ["internal", "oid", "internal", "integer"].map(Text::from).into(),
        "join" => ["internal", "oid", "internal", "smallint", "internal"].map(Text::from).into(),
        _ => operands(id).into_iter().filter(|t| *t != NONE).map(Text::from).collect(),
    }
}

/// A partner as the model has it: without the schema that the operator is in.
fn partner_text(id: &ObjectId, schema: &str, name: &str) -> Text {
    match id.schema().is_some_and(|own| own.name().as_str() == schema) {
        true => name.into(),
        false => reference::join(&[schema, name]).into(),
    }
}

/// The same for a name in a file.
fn normal(text: &Text, scope: &Scope<'_>) -> Text {
    let own = scope.schema.name().text();
    let declared = |schema: &Text, name: &Text| {
        scope.load.declared.get(&(schema.clone(), name.clone())).is_some_and(|words| words.contains(&KIND.word))
    };
    let public = Text::from("public");
    match reference::split(text).as_deref() {
        Ok([schema, name]) if *schema == own => name.clone(),
        Ok([name]) if !declared(&own, name) && declared(&public, name) => reference::join(&[&public, name]).into(),
        _ => text.clone(),
    }
}

/// The address of a partner: a commutator's operands are exchanged, a negator's are the same.
fn partner(key: Key<Text>, id: &ObjectId, text: &str) -> ObjectId {
    let (home, name) = match reference::split(text).as_deref() {
        Ok([schema, name]) => (Some(schema_id(schema.clone())), name.clone()),
        _ => (id.schema().cloned(), text.into()),
    };
    let mut types = operands(id);
    if key.name == COMMUTATOR.name {
        types.reverse();
    }
    ObjectId::routine(&KIND, home, name, types.join(", "))
}

/// PostgreSQL makes partners of two operators as soon as one of them names the other.
fn link(id: &ObjectId, state: &mut State) {
    for key in [COMMUTATOR, NEGATOR] {
        let named = |of: &ObjectId, object: &Object| object.get(key).map(|text| partner(key, of, text));
        let mine = state.get(id).and_then(|object| named(id, object));
        let names_me = |(other, object): &(&ObjectId, &Object)| {
            other.is(&KIND) && *other != id && named(other, object).is_some_and(|named| named == *id)
        };
        let theirs = state.iter().find(names_me).map(|(other, _)| other.clone());
        let (one, two) = match (mine, theirs) {
            (Some(other), _) => (other, id.clone()),
            (None, Some(other)) => (id.clone(), other),
            (None, None) => continue,
        };
        let text = two.schema().map(|schema| partner_text(&one, schema.name().as_str(), two.name().as_str()));
        if let Some(object) = state.objects_mut().get_mut(&one).filter(|object| object.get(key).is_none()) {
            object.attrs.set(key, text);
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::kinds::testing::{alter, create, load, round_trip};

    const SAME: &str = "function same returns=boolean language=sql {\n    arg integer\n    arg text\n    body-exact \"SELECT true\"\n}\n\n";

    #[test]
    fn what_an_operator_says_is_created() {
        let text = "operator \"!!!\" right-arg=bigint function=factorial\n\n\
                    operator \"===\" hashes merges left-arg=integer right-arg=integer function=int4eq commutator=\"===\" restrict=eqsel join=eqjoinsel\n";
        let state = round_trip(&text.replace("\n\n", "\n"));
        let names: Vec<String> = state.iter().map(|(id, _)| crate::sql::target(id)).collect();
        assert_eq!(names, ["OPERATOR public.!!!(NONE, bigint)", "OPERATOR public.===(integer, integer)"]);
        assert_eq!(
            create(&state, "operator"),
            [
                "CREATE OPERATOR public.!!! (FUNCTION = pg_catalog.factorial, RIGHTARG = bigint)",
                "CREATE OPERATOR public.=== (FUNCTION = pg_catalog.int4eq, LEFTARG = integer, RIGHTARG = integer, \
                 COMMUTATOR = OPERATOR(public.===), RESTRICT = pg_catalog.eqsel, JOIN = pg_catalog.eqjoinsel, HASHES, MERGES)",
            ]
        );
    }

    #[test]
    fn partners_name_each_other() {
        let one = format!(
            "{SAME}operator \"===\" left-arg=integer right-arg=text function=same negator=\"<=>\"\noperator \"<=>\" left-arg=integer right-arg=text function=same"
        );
        let made = create(&load(&one).0, "operator");
        assert!(made[1].ends_with("NEGATOR = OPERATOR(public.===))"), "{made:?}");
    }

    #[test]
    fn estimates_change_in_place() {
        let plain = "operator \"===\" left-arg=integer right-arg=integer function=int4eq";
        let changed = |more: &str| alter(plain, &format!("{plain} {more}"), "operator");
        assert_eq!(
            changed("restrict=eqsel"),
            ["ALTER OPERATOR public.===(integer, integer) SET (RESTRICT = pg_catalog.eqsel)"]
        );
        assert_eq!(changed("hashes"), ["replace because of hashes"]);
        let back = alter(&format!("{plain} join=eqjoinsel"), plain, "operator");
        assert_eq!(back, ["ALTER OPERATOR public.===(integer, integer) SET (JOIN = NONE)"]);
    }

    #[test]
    fn what_is_wrong_is_said() {
        let wrong = |text: &str| load(text).1;
        assert_eq!(wrong("operator eq right-arg=integer function=f"), ["`eq` is not an operator name"]);
        assert_eq!(wrong("operator \"=\" function=f"), ["this operator does not declare its operands"]);
        assert_eq!(wrong("operator \"=\" right-arg=integer"), ["this operator does not name its function"]);
        assert_eq!(
            wrong("operator \"=\" right-arg=integer function=f was=\"==\""),
            ["PostgreSQL cannot rename operators"]
        );
    }
}
