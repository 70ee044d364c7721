//! Operator classes: `operator-class by_size default for-type=size using=btree { operator 1 "<"; function 1 size_cmp }`.

use crate::catalog::{Book, Row, Version, class};
use crate::kdl::{Arg, Node, Problem, Prop};
use crate::kinds::held::Held;
use crate::kinds::rights::{self, Demand};
use crate::kinds::scope::{Scope, Turn, schema_id};
use crate::kinds::{Context, Folded, Need, Room, Statement, find, generic, refs::Refs, routine};
use crate::model::{
    Address, Attr, Attrs, Form, Key, Kind, KindRef, Namespace, Object, ObjectId, OnChange, Result, Shape, SqlType,
    Text, Within, attr,
};
use crate::sql;

use super::operator_members::{
    self, FAMILY, FOR_TYPE, FUNCTIONS_ATTR, IMPLIED, Member, OF_FAMILY, OPERATORS_ATTR, USING_ATTR,
};

const DEFAULT: Key<bool> = Key::new("default");
const STORAGE: Key<SqlType> = Key::new("storage");

static ATTRS: [Attr; 7] = [
    attr(
        DEFAULT,
        Shape::Flag,
        Form::Flag,
        OnChange::Replace,
        "Indexes on columns of the type use it if they name no other operator class.",
    ),
    attr(FOR_TYPE, Shape::Type, Form::Property, OnChange::Replace, "The type of the columns that it is for."),
    USING_ATTR,
    attr(
        OF_FAMILY,
        Shape::Ref(&[FAMILY]),
        Form::Custom,
        OnChange::Replace,
        "The operator family that it is in, as a property; if omitted, the family of its own name, which need not be declared.",
    ),
    attr(
        STORAGE,
        Shape::Type,
        Form::Property,
        OnChange::Replace,
        "The type that the index stores, if it differs from the column's.",
    ),
    OPERATORS_ATTR,
    FUNCTIONS_ATTR,
];

pub static KIND: Kind = Kind {
    word: operator_members::CLASS,
    sql: "OPERATOR CLASS",
    address: Address::PerMethod,
    within: Within::Schema,
    namespace: Namespace::Own,
    attrs: &ATTRS,
    folds: false,
    doc: "How an index access method handles a type: its operators and support functions. Only superusers may create one.",
};

static HELD: Held = Held {
    signature: "(SELECT m.amname::text FROM pg_am m WHERE m.oid = o.opcmethod)",
    ..Held::in_schema(class::PG_OPCLASS, "pg_opclass", "opc")
};

pub struct OperatorClass;
pub static ROOM: OperatorClass = OperatorClass;

impl Room for OperatorClass {
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
        let Some(of) = node.get_prop(FOR_TYPE.name).filter(|arg| arg.as_text().is_some()) else {
            let problem = Problem::new(node.name_span, "this operator-class does not name its type");
            return scope.problem(problem.help("write `for-type=…`"));
        };
        let of = routine::bare_type(&scope.sql_type(of.as_text().map_or("", |text| text), of.span));
        let method = id.signature().cloned().unwrap_or_default();
        let family = node.get_prop(OF_FAMILY.name).and_then(|arg| operator_members::family_named(arg, &method, scope));
        let (operators, functions) = operator_members::members(&id, node, Some(&of), scope);
        let mut rest = operator_members::rest(node);
        rest.props.retain(|prop| *prop.name != *OF_FAMILY.name);
        let Some(object) = generic::parse_as(id.clone(), &rest, 1, scope) else { return };
        object.attrs.set(FOR_TYPE, of).set(OF_FAMILY, family);
        normalise(&id, object);
        operator_members::set(object, operators, functions);
        let (family, was) = (operator_members::family_of(&id, object), object.was.clone());
        let Some(family) = family else { return };
        if operator_members::is_namesake(&family, &id) && !scope.load.state.has(&family) {
            imply(&id, &family, was, node, scope);
        }
        operator_members::settle(&family, &mut scope.load.state);
    }

    fn write(&self, id: &ObjectId, object: &Object, inner: Vec<Node>) -> Option<Node> {
        let mut node = generic::write(id, object, inner);
        if let Some(family) = object.get(OF_FAMILY) {
            let text = operator_members::family_text(family, id.schema());
            node.props.push(Prop::new(OF_FAMILY.name, Arg::text(text)));
        }
        operator_members::write(&mut node, id, object, object.get(FOR_TYPE));
        Some(node)
    }

    fn query(&self, _: Version) -> Option<String> {
        Some(format!(
            "SELECT k.oid, k.opcnamespace, k.opcname, a.amname::text, {}, {}, k.opcdefault, format_type(k.opcintype, NULL), \
             CASE WHEN k.opckeytype NOT IN (0, k.opcintype) THEN format_type(k.opckeytype, NULL) END, \
             y.opfname::text, n.nspname::text \
             FROM pg_opclass k JOIN pg_am a ON a.oid = k.opcmethod JOIN pg_opfamily y ON y.oid = k.opcfamily \
             JOIN pg_namespace n ON n.oid = y.opfnamespace {} WHERE k.oid >= 16384 ORDER BY k.oid",
            operator_members::NAMING,
            operator_members::MEMBERS,
            operator_members::joins("k.opcfamily", "k.oid")
        ))
    }

    fn name(&self, row: &mut Row, book: &mut Book) -> Option<ObjectId> {
        let (oid, schema, name, method) = (row.oid(), row.oid(), row.text(), row.text());
        if book.is_member(class::PG_OPCLASS, oid) {
            return None;
        }
        let id = ObjectId::routine(&KIND, Some(book.schema(schema)?.clone()), name, method);
        book.add(class::PG_OPCLASS, oid, id.clone());
        operator_members::name(row, &id, book);
        Some(id)
    }

    fn read(&self, row: &mut Row, id: &ObjectId, book: &Book) -> Option<Object> {
        let mut object = Object::default();
        operator_members::read(row, id, &mut object, book);
        object.attrs.set(DEFAULT, row.next::<bool>()).set(FOR_TYPE, SqlType::new(row.text()));
        object.attrs.set(STORAGE, row.text_opt().map(SqlType::new));
        let (family, home) = (row.text(), row.text());
        let method = id.signature().cloned().unwrap_or_default();
        object.attrs.set(OF_FAMILY, operator_members::family(schema_id(home), family, method));
        normalise(id, &mut object);
        Some(object)
    }

    fn refers(&self, id: &ObjectId, object: &Object, refs: &mut Refs) {
        operator_members::family_of(id, object).into_iter().for_each(|family| refs.object(family));
    }

    fn serves_queries(&self, object: &Object) -> bool {
        object.is(DEFAULT)
    }

    fn same(&self, attr: &'static Attr, old: &Object, new: &Object) -> bool {
        operator_members::same(attr, old, new)
    }

    /// PostgreSQL adds to a class in place, but drops most members only with the class.
    fn on_change(&self, attr: &'static Attr, old: &Object, new: &Object) -> OnChange {
        let keeps = operator_members::only_adds(old, new);
        if attr.on_change == OnChange::Alter && !keeps { OnChange::Replace } else { attr.on_change }
    }

    fn create(&self, id: &ObjectId, object: &Object, _: &[Folded], _: &Context<'_>) -> Result<Vec<Statement>> {
        let Some((of, family)) = object.get(FOR_TYPE).zip(operator_members::family_of(id, object)) else {
            return Ok(vec![]);
        };
        let default = if object.is(DEFAULT) { " DEFAULT" } else { "" };
        let mut items = operator_members::clauses(object);
        items.extend(object.get(STORAGE).map(|stored| format!("STORAGE {}", stored.as_str())));
        if items.is_empty() {
            // It must say something; this is what it stores anyway.
            items.push(format!("STORAGE {}", of.as_str()));
        }
        let name = sql::schema_path(id, id.name());
        let method = sql::name(&id.signature().map_or("", |s| s).into()).to_string();
        Ok(vec![Statement::new(format!(
            "CREATE OPERATOR CLASS {name}{default} FOR TYPE {} USING {method} FAMILY {} AS {}",
            of.as_str(),
            sql::schema_path(&family, family.name()),
            items.join(", ")
        ))])
    }

    fn alter(
        &self,
        id: &ObjectId,
        old: &Object,
        new: &Object,
        _: &[&'static str],
        _: &Context<'_>,
    ) -> Result<Vec<Statement>> {
        let family = operator_members::family_of(id, new);
        let add = family.and_then(|family| operator_members::add(&family, old, new));
        Ok(add.map(Statement::new).into_iter().collect())
    }

    fn drop(&self, id: &ObjectId, object: &Object, cx: &Context<'_>) -> Result<Vec<Statement>> {
        let drop = format!("DROP {}", sql::target(id));
        Ok(take_along(id, object, cx).into_iter().chain([drop]).map(Statement::new).collect())
    }

    fn rights_to_drop(&self, id: &ObjectId, object: &Object, cx: &Context<'_>) -> Vec<Demand> {
        take_along(id, object, cx).map(|_| rights::superuser()).into_iter().collect()
    }
}

/// What drops the members that would stay in the family if the class is dropped without it: those that were added to the class later,
/// and since 14 those that the access method chooses.
fn take_along(id: &ObjectId, object: &Object, cx: &Context<'_>) -> Option<String> {
    let family = operator_members::family_of(id, object)?;
    if cx.across().is_some_and(|after| !after.has(&family)) {
        return None;
    }
    if !cx.server.at_least(14) {
        return Some(operator_members::remove_added(&family, id, object));
    }
    operator_members::remove(&family, object, &Object::default(), |member| stays_behind(id.signature(), member))
}

/// What is the same without being said: the family of the class's own name, and storing the type itself.
fn normalise(id: &ObjectId, object: &mut Object) {
    if object.get(OF_FAMILY).is_some_and(|family| operator_members::is_namesake(family, id)) {
        object.attrs.remove(OF_FAMILY.name);
    }
    if object.get(STORAGE) == object.get(FOR_TYPE) {
        object.attrs.remove(STORAGE.name);
    }
}

/// Adds the family that CREATE OPERATOR CLASS would make, with the class's owner and old name.
fn imply(class: &ObjectId, family: &ObjectId, was: Option<crate::model::Ident>, node: &Node, scope: &mut Scope<'_>) {
    let attrs = Attrs::new().with(IMPLIED, true);
    let object = Object { attrs, was, place: Some(node.span), ..Object::default() };
    scope.load.state.put(family.clone(), object);
    let Some(room) = find("owner") else { return };
    if let Some(owner) = scope.load.state.get(&ObjectId::facet(room.kind(), class.clone())).cloned() {
        scope.load.state.put(ObjectId::facet(room.kind(), family.clone()), owner);
    }
}

/// True if dropping the class leaves the member in its family (`amadjustmembers` of the access methods in src/backend/access).
fn stays_behind(method: Option<&Text>, member: &Member) -> bool {
    let Member { is_operator, number, crosses } = *member;
    match method.map_or("", |m| &**m) {
        "btree" | "hash" => crosses || !is_operator && number != 1,
        "gist" => is_operator || ![1, 2, 5, 6, 7].contains(&number),
        "gin" => is_operator || ![2, 3].contains(&number),
        "spgist" => is_operator || !(1..=5).contains(&number),
        _ => false,
    }
}
